//! The memory that hashing works in.

use argon2::Block;
use zeroize::Zeroize;

use super::hash::{Argon2Params, HashError};

/// Memory for Argon2, owned by one hashing thread and used again for every password: hashing allocates nothing, so
/// the process does not grow and shrink by 19 MiB at every sign-in.
///
/// What one hash leaves in it is overwritten by the next. It is wiped by [`wipe`](Self::wipe), which a thread calls
/// when it has nothing to do (wiping costs a few percent of a hash), and when dropped.
#[derive(Debug)]
pub struct HashMemory {
    blocks: Vec<Block>,
    usual: usize,
}

impl HashMemory {
    /// Memory for hashes with `params`, set aside now and filled by the first of them: until then a server that hashes
    /// nothing keeps no page of it. Others are served too: a larger one for as long as it takes.
    ///
    /// # Errors
    /// [`HashError::Memory`] when there is not so much memory.
    pub fn new(params: Argon2Params) -> Result<Self, HashError> {
        let (mut blocks, usual) = (Vec::new(), params.library(32)?.block_count());
        blocks.try_reserve_exact(usual).map_err(|_| HashError::Memory)?;
        Ok(Self { blocks, usual })
    }

    /// Overwrites everything with zeros.
    pub fn wipe(&mut self) {
        self.blocks.iter_mut().for_each(Zeroize::zeroize);
    }

    pub(super) fn blocks(&mut self, count: usize) -> Result<&mut [Block], HashError> {
        if let Some(missing @ 1..) = count.checked_sub(self.blocks.len()) {
            // Growing may move the blocks; what is left behind must not tell anything.
            self.wipe();
            self.blocks.try_reserve_exact(missing).map_err(|_| HashError::Memory)?;
            self.blocks.resize(count, Block::new());
        }
        self.blocks.get_mut(..count).ok_or(HashError::Memory)
    }

    /// Gives back, wiped, what an unusually large hash needed.
    pub(super) fn settle(&mut self) {
        if self.blocks.len() > self.usual {
            self.blocks.iter_mut().skip(self.usual).for_each(Zeroize::zeroize);
            self.blocks.truncate(self.usual);
            self.blocks.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> &[Block] {
        &self.blocks
    }
}

impl Drop for HashMemory {
    fn drop(&mut self) {
        self.wipe();
    }
}
