//! Hashes that another system made: bcrypt (`$2a$`, `$2b$`, `$2y$`), scrypt and PBKDF2 with HMAC-SHA-256 or -SHA-512 in PHC
//! text. They are verified as that system did, and made anew as Argon2id at the next right password.
//!
//! - What is hashed is the password in NFC; a system that kept another form knows other bytes.
//! - bcrypt hashes 72 bytes and no more. A longer password is right when those are, as it was before; because nothing is
//!   known of its rest then, its hash stays until the password is changed. NUL, where bcrypt ends, is in no password.
//! - `$2x$`, made by a faulty `crypt_blowfish`, is refused.
//! - Costs are bounded, so that nobody imports work without end: bcrypt 2^14, scrypt 128 MiB and twice the work of OWASP's
//!   strongest row, PBKDF2 two million iterations.
//!
//! Sources: Provos and Mazières, A Future-Adaptable Password Scheme; RFC 7914; RFC 8018 §5.2; the PHC string format.

use argon2::password_hash::phc;
use pbkdf2::pbkdf2_hmac;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Password;
use super::hash::NotAPasswordHash;
use crate::secret::Secret;

/// How many bytes bcrypt hashes.
const BCRYPT_BYTES: usize = 72;
const BCRYPT_COST_MAX: u32 = 14;
/// `N * r`, in units of 128 bytes: 128 MiB.
const SCRYPT_BLOCKS_MAX: u64 = 1 << 20;
/// `N * r * p`.
const SCRYPT_WORK_MAX: u64 = 1 << 21;
const PBKDF2_ITERATIONS_MAX: u32 = 2_000_000;
const OUTPUT_BYTES_MIN: usize = 16;

/// A hash of another system, with the text it came in.
#[derive(Clone)]
pub(super) struct Imported {
    text: Secret<String>,
    scheme: Scheme,
}

#[derive(Clone)]
enum Scheme {
    Bcrypt,
    Scrypt(scrypt::Params, Salted),
    Pbkdf2(Prf, u32, Salted),
}

#[derive(Clone, Copy)]
enum Prf {
    Sha256,
    Sha512,
}

#[derive(Clone)]
struct Salted {
    salt: Vec<u8>,
    output: Secret<Vec<u8>>,
}

impl Imported {
    /// A hash of a scheme known here; `None` when the text begins like none of them.
    pub(super) fn parse(text: &str) -> Option<Result<Self, NotAPasswordHash>> {
        let scheme = match text.split('$').nth(1)? {
            "2a" | "2b" | "2y" => bcrypt(text),
            "scrypt" => scrypt(text),
            "pbkdf2-sha256" => pbkdf2(text, Prf::Sha256),
            "pbkdf2-sha512" => pbkdf2(text, Prf::Sha512),
            _ => return None,
        };
        Some(scheme.map(|scheme| Self { text: Secret::new(text.to_owned()), scheme }))
    }

    pub(super) fn text(&self) -> Secret<String> {
        self.text.clone()
    }

    /// Whether `password` is the one that was hashed, compared in constant time.
    pub(super) fn verify(&self, password: &Password) -> bool {
        let password = password.expose().expose().as_bytes();
        match &self.scheme {
            Scheme::Bcrypt => bcrypt::verify(password, self.text.expose()).unwrap_or(false),
            Scheme::Scrypt(params, hash) => hash.is(|output| {
                // Refused only for a length that no parsed hash has: the output stays zero, and is wrong.
                let _ = scrypt::scrypt(password, &hash.salt, params, output);
            }),
            Scheme::Pbkdf2(Prf::Sha256, iterations, hash) => {
                hash.is(|output| pbkdf2_hmac::<Sha256>(password, &hash.salt, *iterations, output))
            }
            Scheme::Pbkdf2(Prf::Sha512, iterations, hash) => {
                hash.is(|output| pbkdf2_hmac::<Sha512>(password, &hash.salt, *iterations, output))
            }
        }
    }

    /// Whether a verification says something of every byte of `password`.
    pub(super) fn covers(&self, password: &Password) -> bool {
        match self.scheme {
            Scheme::Bcrypt => password.expose().expose().len() < BCRYPT_BYTES,
            Scheme::Scrypt(..) | Scheme::Pbkdf2(..) => true,
        }
    }
}

impl Salted {
    fn is(&self, fill: impl FnOnce(&mut [u8])) -> bool {
        let expected = self.output.expose();
        let mut output = Zeroizing::new(vec![0; expected.len()]);
        fill(&mut output);
        output.as_slice().ct_eq(expected).into()
    }
}

fn bcrypt(text: &str) -> Result<Scheme, NotAPasswordHash> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| NotAPasswordHash::Text)?;
    if (4..=BCRYPT_COST_MAX).contains(&parts.get_cost()) { Ok(Scheme::Bcrypt) } else { Err(NotAPasswordHash::Params) }
}

fn scrypt(text: &str) -> Result<Scheme, NotAPasswordHash> {
    let (numbers, hash) = phc(text, &["ln", "r", "p"])?;
    let [Some(log_n), Some(r), Some(p)] = numbers else { return Err(NotAPasswordHash::Params) };
    let n = 1_u64.checked_shl(log_n).ok_or(NotAPasswordHash::Params)?;
    let blocks = n.checked_mul(r.into()).ok_or(NotAPasswordHash::Params)?;
    let work = blocks.checked_mul(p.into()).ok_or(NotAPasswordHash::Params)?;
    if log_n == 0 || blocks > SCRYPT_BLOCKS_MAX || work > SCRYPT_WORK_MAX {
        return Err(NotAPasswordHash::Params);
    }
    let log_n = u8::try_from(log_n).map_err(|_| NotAPasswordHash::Params)?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| NotAPasswordHash::Params)?;
    Ok(Scheme::Scrypt(params, hash))
}

fn pbkdf2(text: &str, prf: Prf) -> Result<Scheme, NotAPasswordHash> {
    let (numbers, hash) = phc(text, &["i", "l"])?;
    let [Some(iterations @ 1..=PBKDF2_ITERATIONS_MAX), length] = numbers else { return Err(NotAPasswordHash::Params) };
    if length.is_some_and(|length| usize::try_from(length) != Ok(hash.output.expose().len())) {
        return Err(NotAPasswordHash::Length);
    }
    Ok(Scheme::Pbkdf2(prf, iterations, hash))
}

/// The decimal parameters of these names, in their order, with salt and output. Another parameter, or a version, is refused.
fn phc<const N: usize>(text: &str, names: &[&str; N]) -> Result<([Option<u32>; N], Salted), NotAPasswordHash> {
    let hash = phc::PasswordHash::new(text).map_err(|_| NotAPasswordHash::Text)?;
    if hash.version.is_some() || hash.params.iter().any(|(name, _)| !names.contains(&name.as_str())) {
        return Err(NotAPasswordHash::Params);
    }
    let numbers = names.map(|name| hash.params.get_decimal(name));
    let (Some(salt), Some(output)) = (hash.salt, hash.hash) else { return Err(NotAPasswordHash::Text) };
    let output = Secret::new(output.as_bytes().to_vec());
    if output.expose().len() < OUTPUT_BYTES_MIN {
        return Err(NotAPasswordHash::Length);
    }
    Ok((numbers, Salted { salt: salt.to_vec(), output }))
}

#[cfg(test)]
mod tests {
    use super::super::{Argon2Params, HashMemory, PasswordHash, verify};
    use super::*;

    /// Made with libxcrypt 4.4.
    const BCRYPT: [(&str, &str); 5] = [
        ("password", "$2a$06$abcdefghijklmnopqrstuuNBpXtlux7FnXJE0fnrtkSXNhdOGmWHu"),
        ("password", "$2b$06$abcdefghijklmnopqrstuuNBpXtlux7FnXJE0fnrtkSXNhdOGmWHu"),
        ("password", "$2y$06$abcdefghijklmnopqrstuuNBpXtlux7FnXJE0fnrtkSXNhdOGmWHu"),
        ("pässwörd", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.VbkrrNItU.9NIb/IkEA2mwWrOjK5F3G"),
        (SEVENTY_TWO, "$2b$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"),
    ];
    const SEVENTY_TWO: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    /// Made with OpenSSL 3, through Python's hashlib.
    const SCRYPT: [(&str, &str); 2] = [
        ("password", "$scrypt$ln=14,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$6iMJXpgeItuXSS3ial5ceU6o+LQA0aKIA8ORmTlhNMU"),
        (
            "pä5sword",
            "$scrypt$ln=10,r=8,p=4$AAECAwQFBgcICQoLDA0ODw$DporngqSazm9PZH97Yt+IwZR+IsLV7AGzFfm/q2STnuKmKfJCTxmgV/D0FkdAyFwJ1whZrvim9wgb6kfE1wvNA",
        ),
    ];
    const PBKDF2: [(&str, &str); 3] = [
        ("password", "$pbkdf2-sha256$i=4096,l=32$AAECAwQFBgcICQoLDA0ODw$kXAOPElOEAcXAIZmAe/UhuQ3ZfqLQrmhKSAzhqXKUJs"),
        (
            "password",
            "$pbkdf2-sha512$i=1000,l=64$AAECAwQFBgcICQoLDA0ODw$x05AgND7tB/uWGjA/2D9dayuJjghWYfl/1T46uIRM5ta0a9uOHvBLdOnC7blqQEIFBxfCONToumEQ5pDM8Qtbg",
        ),
        ("password", "$pbkdf2-sha512$i=1000$AAECAwQFBgcICQoLDA0ODw$x05AgND7tB/uWGjA/2D9dayuJjg"),
    ];

    fn password(text: &str) -> Password {
        Password::new(text).unwrap()
    }

    fn is(text: &str, hash: &str) -> bool {
        let mut memory = HashMemory::new(Argon2Params::new(64, 1, 1).unwrap()).unwrap();
        verify(&password(text), &PasswordHash::parse(hash).unwrap(), &mut memory).unwrap()
    }

    #[track_caller]
    fn known_answers(vectors: &[(&str, &str)]) {
        for (text, hash) in vectors {
            assert!(is(text, hash), "{hash}");
            let parsed = PasswordHash::parse(hash).unwrap();
            assert_eq!(parsed.text().expose(), hash);
            assert!(parsed.needs_rehash(Argon2Params::default()));
            assert_eq!(format!("{parsed:?}"), "[password hash]");
            for wrong in [text[1..].to_owned(), text.to_uppercase(), format!("x{text}")] {
                assert!(!is(&wrong, hash), "{wrong}: {hash}");
            }
            let changed = if hash.ends_with('u') { "." } else { "u" };
            let other = format!("{}{changed}{}", &hash[..hash.len() - 9], &hash[hash.len() - 8..]);
            assert!(other == *hash || !is(text, &other), "{other}");
        }
    }

    #[test]
    fn bcrypt_known_answers() {
        known_answers(&BCRYPT);
    }

    #[test]
    fn scrypt_known_answers() {
        known_answers(&SCRYPT);
    }

    #[test]
    fn pbkdf2_known_answers() {
        known_answers(&PBKDF2);
    }

    #[test]
    fn bcrypt_hashes_72_bytes_and_says_nothing_of_the_rest() {
        let hash = BCRYPT[4].1;
        let long = format!("{SEVENTY_TWO} and more");
        assert!(is(&long, hash), "as the system did that made it");
        assert!(!is(&SEVENTY_TWO[..71], hash));
        let parsed = PasswordHash::parse(hash).unwrap();
        assert!(parsed.covers(&password(&SEVENTY_TWO[..71])));
        assert!(!parsed.covers(&password(SEVENTY_TWO)) && !parsed.covers(&password(&long)));
        assert!(PasswordHash::parse(SCRYPT[0].1).unwrap().covers(&password(&long)));
    }

    #[test]
    fn what_would_cost_too_much_or_is_not_whole_is_refused() {
        let tail = "AAECAwQFBgcICQoLDA0ODw$6iMJXpgeItuXSS3ial5ceU6o+LQA0aKIA8ORmTlhNMU";
        let bcrypt = |front: &str| format!("{front}abcdefghijklmnopqrstuuNBpXtlux7FnXJE0fnrtkSXNhdOGmWHu");
        for (text, expected) in [
            (bcrypt("$2b$15$"), NotAPasswordHash::Params),
            (bcrypt("$2b$31$"), NotAPasswordHash::Params),
            (bcrypt("$2b$03$"), NotAPasswordHash::Params),
            (bcrypt("$2b$6$"), NotAPasswordHash::Text),
            (bcrypt("$2b$06$") + "x", NotAPasswordHash::Text),
            (bcrypt("$2x$06$"), NotAPasswordHash::Text),
            (format!("$scrypt$ln=18,r=8,p=1${tail}"), NotAPasswordHash::Params),
            (format!("$scrypt$ln=63,r=8,p=1${tail}"), NotAPasswordHash::Params),
            (format!("$scrypt$ln=64,r=8,p=1${tail}"), NotAPasswordHash::Params),
            (format!("$scrypt$ln=0,r=8,p=1${tail}"), NotAPasswordHash::Params),
            (format!("$scrypt$ln=14,r=0,p=1${tail}"), NotAPasswordHash::Params),
            (format!("$scrypt$ln=14,r=8,p=0${tail}"), NotAPasswordHash::Params),
            (format!("$scrypt$ln=14,r=4294967295,p=1${tail}"), NotAPasswordHash::Params),
            (format!("$scrypt$ln=14,r=8,p=4294967295${tail}"), NotAPasswordHash::Params),
            (format!("$scrypt$ln=14,r=8${tail}"), NotAPasswordHash::Params),
            (format!("$scrypt$ln=14,r=8,p=1,x=1${tail}"), NotAPasswordHash::Params),
            (format!("$scrypt$v=1$ln=14,r=8,p=1${tail}"), NotAPasswordHash::Params),
            ("$scrypt$ln=14,r=8,p=1$AAECAwQFBgcICQoLDA0ODw".to_owned(), NotAPasswordHash::Text),
            (format!("$pbkdf2-sha256$i=2000001,l=32${tail}"), NotAPasswordHash::Params),
            (format!("$pbkdf2-sha256$i=0,l=32${tail}"), NotAPasswordHash::Params),
            (format!("$pbkdf2-sha256$l=32${tail}"), NotAPasswordHash::Params),
            (format!("$pbkdf2-sha256$i=1000,l=31${tail}"), NotAPasswordHash::Length),
            ("$pbkdf2-sha256$i=1000$AAECAwQFBgcICQoLDA0ODw$kXAOPElOEAcXAIZmAe/U".to_owned(), NotAPasswordHash::Length),
            (format!("$pbkdf2-sha1$i=1000${tail}"), NotAPasswordHash::Algorithm),
        ] {
            assert_eq!(PasswordHash::parse(&text).err(), Some(expected), "{text}");
        }
    }
}
