//! The plaintext form of a letter, for the seal and for nothing else.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Content, CredentialChange, Letter, Link, Name, Occasion};
use crate::email::Email;
use crate::id::SecurityReportId;
use crate::role::Role;
use crate::secret::Secret;
use crate::time::UnixMs;

#[derive(Serialize, Deserialize)]
pub(super) struct Wire<'a> {
    to: Cow<'a, str>,
    content: Said<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Said<'a> {
    Invitation { inviter: Name, role: Role, link: Token<'a> },
    VerifyEmail { link: Token<'a> },
    ResetPassword { link: Token<'a> },
    AlreadyMember,
    NoAccount,
    ConfirmNewEmail { link: Token<'a> },
    EmailChanged { occasion: When },
    NewDevice { occasion: When, user_agent: Cow<'a, str> },
    CredentialChanged { change: Cow<'a, str>, occasion: When },
    SessionReplayed { occasion: When },
    SecondFactorReset { occasion: When },
    WebhookDisabled { url: Cow<'a, str>, gone: bool },
    SecurityReport { reference: SecurityReportId, due: UnixMs },
}

#[derive(Serialize, Deserialize)]
struct Token<'a> {
    token: Cow<'a, str>,
    until: UnixMs,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct When {
    at: UnixMs,
    address: IpAddr,
}

impl<'a> From<&'a Letter> for Wire<'a> {
    fn from(letter: &'a Letter) -> Self {
        let content = match &letter.content {
            Content::Invitation { inviter, role, link } => {
                Said::Invitation { inviter: inviter.clone(), role: *role, link: link.into() }
            }
            Content::VerifyEmail(link) => Said::VerifyEmail { link: link.into() },
            Content::ResetPassword(link) => Said::ResetPassword { link: link.into() },
            Content::AlreadyMember => Said::AlreadyMember,
            Content::NoAccount => Said::NoAccount,
            Content::ConfirmNewEmail(link) => Said::ConfirmNewEmail { link: link.into() },
            Content::EmailChanged(occasion) => Said::EmailChanged { occasion: occasion.into() },
            Content::NewDevice { occasion, user_agent } => {
                Said::NewDevice { occasion: occasion.into(), user_agent: user_agent.into() }
            }
            Content::CredentialChanged { change, occasion } => {
                Said::CredentialChanged { change: change.as_str().into(), occasion: occasion.into() }
            }
            Content::SessionReplayed(occasion) => Said::SessionReplayed { occasion: occasion.into() },
            Content::SecondFactorReset(occasion) => Said::SecondFactorReset { occasion: occasion.into() },
            Content::WebhookDisabled { url, gone } => Said::WebhookDisabled { url: url.as_str().into(), gone: *gone },
            Content::SecurityReport { reference, due } => Said::SecurityReport { reference: *reference, due: *due },
        };
        Self { to: letter.to.as_str().into(), content }
    }
}

impl Wire<'_> {
    pub(super) fn into_letter(self) -> Option<Letter> {
        let to: Email = self.to.parse().ok()?;
        let content = match self.content {
            Said::Invitation { inviter, role, link } => Content::Invitation { inviter, role, link: link.into() },
            Said::VerifyEmail { link } => Content::VerifyEmail(link.into()),
            Said::ResetPassword { link } => Content::ResetPassword(link.into()),
            Said::AlreadyMember => Content::AlreadyMember,
            Said::NoAccount => Content::NoAccount,
            Said::WebhookDisabled { url, gone } => Content::WebhookDisabled { url: url.into_owned(), gone },
            Said::ConfirmNewEmail { link } => Content::ConfirmNewEmail(link.into()),
            Said::EmailChanged { occasion } => Content::EmailChanged(occasion.into()),
            Said::NewDevice { occasion, user_agent } => {
                Content::NewDevice { occasion: occasion.into(), user_agent: user_agent.into_owned() }
            }
            Said::CredentialChanged { change, occasion } => {
                let change = CredentialChange::ALL.iter().copied().find(|known| known.as_str() == change)?;
                Content::CredentialChanged { change, occasion: occasion.into() }
            }
            Said::SessionReplayed { occasion } => Content::SessionReplayed(occasion.into()),
            Said::SecondFactorReset { occasion } => Content::SecondFactorReset(occasion.into()),
            Said::SecurityReport { reference, due } => Content::SecurityReport { reference, due },
        };
        Some(Letter { to, content })
    }
}

impl<'a> From<&'a Link> for Token<'a> {
    fn from(link: &'a Link) -> Self {
        Self { token: link.token.expose().as_str().into(), until: link.until }
    }
}

impl From<Token<'_>> for Link {
    fn from(Token { token, until }: Token<'_>) -> Self {
        Self { token: Secret::new(token.into_owned()), until }
    }
}

impl From<&Occasion> for When {
    fn from(Occasion { at, address }: &Occasion) -> Self {
        Self { at: *at, address: *address }
    }
}

impl From<When> for Occasion {
    fn from(When { at, address }: When) -> Self {
        Self { at, address }
    }
}
