//! The words of every letter.

use super::{Content, CredentialChange, Link, Occasion, Sender};
use crate::role::Role;
use crate::time::UnixMs;

/// A letter before it is text or HTML. Nothing in it is escaped.
pub(super) struct Draft {
    pub(super) subject: String,
    pub(super) parts: Vec<Part>,
}

pub(super) enum Part {
    /// A paragraph.
    Words(String),
    /// A link by itself: what it does, and where it leads.
    Link { label: &'static str, url: String },
    /// A fact on a line of its own.
    Fact { name: &'static str, value: String },
}

const NOT_YOU: &str = "If this was not you, change your password now, end the sessions that you do not know, and tell an \
                       admin of your tenant.";
const UNWANTED: &str = "If you do not want to join, you need not do anything.";
const IGNORE: &str = "If you did not ask for this, you need not do anything.";

pub(super) fn draft(content: &Content, sender: Sender<'_>) -> Draft {
    let tenant = sender.name;
    match content {
        Content::Invitation { inviter, role, link } => {
            let (inviter, role) = (inviter.as_str(), in_words(*role));
            let first = format!("{inviter} invites you to join {tenant} as {role}.");
            let parts = linked(&first, "Accept the invitation", sender, "/auth/invitation", link, UNWANTED);
            Draft { subject: format!("{inviter} invites you to {tenant}"), parts }
        }
        Content::VerifyEmail(link) => {
            let first = format!("An account at {tenant} is to be opened with this address. Confirm that it is yours.");
            let parts = linked(&first, "Confirm the address", sender, "/auth/verify", link, IGNORE);
            Draft { subject: format!("Confirm your address for {tenant}"), parts }
        }
        Content::ResetPassword(link) => {
            let first = format!("Somebody asked for a new password for your account at {tenant}.");
            let parts = linked(&first, "Choose a new password", sender, "/auth/reset", link, IGNORE);
            Draft { subject: format!("A new password for {tenant}"), parts }
        }
        Content::ConfirmNewEmail(link) => {
            let first =
                format!("This address is to become the address of an account at {tenant}. Confirm that it is yours.");
            let parts = linked(&first, "Confirm the new address", sender, "/auth/verify", link, IGNORE);
            Draft { subject: format!("Confirm your new address for {tenant}"), parts }
        }
        Content::AlreadyMember => {
            let first = format!(
                "Somebody wanted to use this address for an account at {tenant}. You have one already: sign in as before."
            );
            let second = "If you have forgotten your password, ask for a new one there.".to_owned();
            let parts = [first, second, IGNORE.to_owned()].map(Part::Words).into();
            Draft { subject: format!("You have an account at {tenant}"), parts }
        }
        Content::NoAccount => {
            let first =
                format!("Somebody asked for a new password at {tenant} for this address. It has no account there.");
            let second = "If it was you, you may have registered with another address.".to_owned();
            let parts = [first, second, IGNORE.to_owned()].map(Part::Words).into();
            Draft { subject: format!("No account at {tenant}"), parts }
        }
        Content::WebhookDisabled { url, gone } => {
            let why = if *gone { "It answered that it is gone." } else { "It has failed for five days." };
            let first = format!("An endpoint of {tenant} is told of events no more. {why}");
            let last = "Mend it, then enable it and have it told again of what it missed, or take it away.".to_owned();
            let fact = Part::Fact { name: "Endpoint", value: url.clone() };
            let parts = vec![Part::Words(first), fact, Part::Words(last)];
            Draft { subject: format!("Webhooks of {tenant} are stopped"), parts }
        }
        Content::SecurityReport { reference, due } => {
            let origin = sender.origin;
            let parts = vec![
                Part::Words(format!(
                    "Somebody told {tenant} of a weakness of the server. What was told is not in this letter."
                )),
                Part::Fact { name: "Reference", value: reference.to_string() },
                Part::Fact { name: "To be answered by", value: in_utc(*due) },
                Part::Words(format!(
                    "Operators read it at {origin}/v1/security-reports/{reference}, and note there that it was answered."
                )),
            ];
            Draft { subject: "A report of a weakness".to_owned(), parts }
        }
        Content::EmailChanged(_)
        | Content::NewDevice { .. }
        | Content::CredentialChanged { .. }
        | Content::SessionReplayed(_)
        | Content::SecondFactorReset(_) => notice(content, tenant),
    }
}

/// Something was done, and the member should know.
fn notice(content: &Content, tenant: &str) -> Draft {
    let (subject, first, occasion, browser, last) = match content {
        Content::EmailChanged(occasion) => (
            format!("Your address at {tenant} was changed"),
            format!("Your account at {tenant} has another e-mail address now. This one opens it no longer."),
            occasion,
            None,
            "If this was not you, tell an admin of your tenant at once.",
        ),
        Content::NewDevice { occasion, user_agent } => (
            format!("A new sign-in at {tenant}"),
            format!(
                "Somebody signed in to your account at {tenant} with a browser or program that we have not seen lately."
            ),
            occasion,
            Some(user_agent.as_str()).filter(|browser| !browser.is_empty()),
            NOT_YOU,
        ),
        Content::CredentialChanged { change, occasion } => {
            let (what, happened) = done(*change);
            return with_occasion(
                format!("{what} at {tenant}"),
                format!("{happened}. This is about your account at {tenant}."),
                occasion,
                None,
                NOT_YOU,
            );
        }
        Content::SessionReplayed(occasion) => (
            format!("A session of yours at {tenant} was ended"),
            format!(
                "A key of one of your sessions at {tenant} was used a second time. It may have been copied, so the session \
                 was ended. Sign in again."
            ),
            occasion,
            None,
            NOT_YOU,
        ),
        Content::SecondFactorReset(occasion) => (
            format!("Your second factor at {tenant} was reset"),
            format!(
                "An admin of {tenant} took your second factor away. Every session of yours was ended; set up a new one."
            ),
            occasion,
            None,
            "If you did not ask for this, tell an admin of your tenant at once.",
        ),
        Content::Invitation { .. }
        | Content::VerifyEmail(_)
        | Content::ResetPassword(_)
        | Content::AlreadyMember
        | Content::NoAccount
        | Content::WebhookDisabled { .. }
        | Content::SecurityReport { .. }
        | Content::ConfirmNewEmail(_) => return Draft { subject: tenant.to_owned(), parts: vec![] },
    };
    with_occasion(subject, first, occasion, browser, last)
}

/// What was done: in short, and in a sentence.
const fn done(change: CredentialChange) -> (&'static str, &'static str) {
    match change {
        CredentialChange::Password => ("Your password was changed", "The password was changed"),
        CredentialChange::PasswordReset => {
            ("Your password was changed", "A new password was chosen by a link that we sent you")
        }
        CredentialChange::EmailAsked => (
            "Another address was asked for",
            "Somebody who is signed in asked for another e-mail address, which takes effect when it is confirmed",
        ),
        CredentialChange::SecondFactorConfirmed => {
            ("A second factor was added", "A second factor is asked for from now on")
        }
        CredentialChange::SecondFactorRemoved => ("Your second factor was removed", "The second factor was taken away"),
        CredentialChange::BackupCodes => ("New backup codes", "New backup codes were made, and the old ones are void"),
        CredentialChange::IdentityLinked => {
            ("A way to sign in was added", "An account at another provider signs in from now on")
        }
        CredentialChange::IdentityUnlinked => {
            ("A way to sign in was removed", "An account at another provider signs in no longer")
        }
    }
}

fn with_occasion(subject: String, first: String, occasion: &Occasion, browser: Option<&str>, last: &str) -> Draft {
    let mut parts = vec![
        Part::Words(first),
        Part::Fact { name: "When", value: in_utc(occasion.at) },
        Part::Fact { name: "From", value: occasion.address.to_string() },
    ];
    parts.extend(browser.map(|browser| Part::Fact { name: "Browser", value: browser.to_owned() }));
    parts.push(Part::Words(last.to_owned()));
    Draft { subject, parts }
}

fn linked(first: &str, label: &'static str, sender: Sender<'_>, page: &str, link: &Link, last: &str) -> Vec<Part> {
    let url = format!("{}{page}#token={}", sender.origin, link.token.expose());
    let until = format!("The link works once, until {}. {last}", in_utc(link.until));
    vec![Part::Words(first.to_owned()), Part::Link { label, url }, Part::Words(until)]
}

const fn in_words(role: Role) -> &'static str {
    match role {
        Role::Admin => "an admin",
        Role::SalesRep => "a sales representative",
        Role::Employee => "an employee",
    }
}

/// `2026-11-26 21:47 UTC`.
fn in_utc(at: UnixMs) -> String {
    const MONTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let is_leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let minutes = at.as_secs() / 60;
    let (mut day, mut year) = (minutes / (24 * 60), 1970);
    while day >= 365 + i64::from(is_leap(year)) {
        day -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for days in MONTHS {
        let days = days + i64::from(month == 2 && is_leap(year));
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    format!("{year}-{month:02}-{:02} {:02}:{:02} UTC", day + 1, minutes / 60 % 24, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_709_164_800, "2024-02-29 00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59 UTC"),
            (1_795_729_620, "2026-11-26 21:47 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59 UTC"),
        ] {
            assert_eq!(in_utc(UnixMs::new(seconds * 1_000)), text);
        }
    }
}
