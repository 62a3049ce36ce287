//! What GitHub tells of an account: `GET /user` and `GET /user/emails`. The subject is the number, which stays; logins are
//! given to others when they are free. Of the addresses only the primary one counts, and only when GitHub has verified it.

use serde::Deserialize;

use super::{Profile, Subject};
use crate::secret::Secret;

#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    email: String,
    primary: bool,
    verified: bool,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// The answer is not what the API promises.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an answer of the API")]
pub struct NotAnAnswer;

/// The access token in the answer of a token endpoint. An error is an answer without one, whatever its status.
///
/// # Errors
/// [`NotAnAnswer`].
pub fn access_token(answer: &str) -> Result<Secret<String>, NotAnAnswer> {
    let token: Token = serde_json::from_str(answer).map_err(|_| NotAnAnswer)?;
    let visible = !token.access_token.is_empty() && token.access_token.bytes().all(|byte| byte.is_ascii_graphic());
    if visible { Ok(Secret::new(token.access_token)) } else { Err(NotAnAnswer) }
}

/// What the two answers say.
///
/// # Errors
/// [`NotAnAnswer`] when either is something else, or names two primary addresses.
pub fn profile(user: &str, emails: &str) -> Result<Profile, NotAnAnswer> {
    let user: User = serde_json::from_str(user).map_err(|_| NotAnAnswer)?;
    let emails: Vec<Address> = serde_json::from_str(emails).map_err(|_| NotAnAnswer)?;
    let mut primary = emails.into_iter().filter(|address| address.primary);
    let (first, None) = (primary.next(), primary.next()) else { return Err(NotAnAnswer) };
    let email = first.filter(|address| address.verified).and_then(|address| address.email.parse().ok());
    let subject = Subject::parse(&user.id.to_string()).ok_or(NotAnAnswer)?;
    Ok(Profile { subject, account: user.login.parse().ok(), email, name: user.name.and_then(|name| name.parse().ok()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = r#"{"login": "ada", "id": 583231, "name": null, "email": "public@example.com", "type": "User"}"#;

    #[test]
    fn only_the_verified_primary_address_counts() {
        let email =
            |emails: &str| profile(USER, emails).map(|profile| profile.email.map(|email| email.as_str().to_owned()));
        let address = |email: &str, primary: bool, verified: bool| {
            format!(r#"{{"email": "{email}", "primary": {primary}, "verified": {verified}, "visibility": null}}"#)
        };
        let (main, other) = (address("Ada@example.com", true, true), address("b@example.com", false, true));
        assert_eq!(email(&format!("[{other}, {main}]")), Ok(Some("ada@example.com".to_owned())));
        assert_eq!(email(&format!("[{other}]")), Ok(None));
        assert_eq!(email(&format!("[{}, {other}]", address("a@example.com", true, false))), Ok(None));
        assert_eq!(email("[]"), Ok(None));
        for no in [format!("[{main}, {main}]"), "{}".to_owned(), String::new(), r#"{"message": "x"}"#.to_owned()] {
            assert_eq!(email(&no), Err(NotAnAnswer), "{no}");
        }
    }

    #[test]
    fn the_subject_is_the_number() {
        let seen = profile(USER, "[]").unwrap();
        assert_eq!((seen.subject.as_str(), seen.account.unwrap().as_str(), seen.name), ("583231", "ada", None));
        for no in
            [r#"{"login": "ada"}"#, r#"{"id": "583231", "login": "ada"}"#, r#"{"id": -1, "login": "ada"}"#, "[]", ""]
        {
            assert_eq!(profile(no, "[]").err(), Some(NotAnAnswer), "{no}");
        }
    }

    #[test]
    fn an_error_is_no_token() {
        assert_eq!(access_token(r#"{"access_token": "gho_16", "token_type": "bearer"}"#).unwrap().expose(), "gho_16");
        for no in [
            r#"{"error": "bad_verification_code"}"#,
            r#"{"access_token": ""}"#,
            "access_token=a",
            r#"{"access_token": "a\r\nb"}"#,
        ] {
            assert!(access_token(no).is_err(), "{no}");
        }
    }
}
