//! The operations: each joins a tenant, the store and the rules. A handler calls one of them; nothing else does.

pub mod api_keys;
mod assurance;
pub mod audit;
pub mod context;
pub mod forward;
mod fresh;
pub mod import;
pub mod invitations;
pub mod key_use;
pub mod logout;
mod mailed_token;
pub mod members;
pub mod operators;
pub mod password;
pub mod recovery;
pub mod refresh;
pub mod refusal;
pub mod registration;
pub mod second_factor;
pub mod session_list;
pub mod settings;
pub mod sign_in;
pub mod support;
pub mod tenants;
pub mod token_pair;
pub mod totp;
mod upkeep;
