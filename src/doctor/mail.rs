//! Mail: whether somebody takes letters.

use freehold_actors::mail::carrier::{Carrier, Way};

use super::client::PATIENCE;
use super::finding::Finding;
use crate::config::Config;
use crate::failure::chain;

const CHECK: &str = "mail";

/// Greets the mail server, TLS and password included; no letter is sent.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let mail = config.mail.clone();
    let server = match &mail.way {
        Way::Outbox(folder) => {
            let found = format!(
                "letters become files in {} and reach nobody until FREEHOLD_MAIL_SMTP_URL is set",
                folder.display()
            );
            return vec![Finding::good(CHECK, found)];
        }
        Way::Smtp(smtp) => format!("{}:{}", smtp.host, smtp.port),
    };
    let remedy = "see that FREEHOLD_MAIL_SMTP_URL names it, with its port, user and password, and that its certificate is public";
    let greeted = match Carrier::new(mail.from, config.platform.domain.as_str(), mail.way) {
        Ok(carrier) => carrier.greet(PATIENCE).await.map_err(|error| chain(&error)),
        Err(error) => Err(chain(&error)),
    };
    vec![match greeted {
        Ok(()) => Finding::good(CHECK, format!("{server} takes letters")),
        Err(error) => Finding::bad(CHECK, format!("{server} does not take letters: {error}"), remedy),
    }]
}
