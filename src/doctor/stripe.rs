//! Stripe: whether the key is good, and each price there that plans are sold for.

use freehold_actors::stripe::Stripe;

use super::finding::Finding;
use crate::config::Config;
use crate::failure::chain;

const CHECK: &str = "stripe";

/// Asks for each price; nothing is changed there.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let Some(rule) = config.stripe.clone() else {
        return vec![Finding::good(CHECK, "nothing is sold, and no plan bounds anything")];
    };
    let stripe = match Stripe::new(rule) {
        Ok(stripe) => stripe,
        Err(error) => return vec![Finding::bad(CHECK, chain(&error), "see that this build has TLS")],
    };
    let seen = stripe.examine().await.into_iter();
    seen.map(|(plan, price, found)| match found {
        Ok(()) => Finding::good(CHECK, format!("{plan} is sold for {price}")),
        Err(wrong) => {
            let found = format!("{plan} cannot be sold for {price}: {wrong}");
            let remedy = "see that FREEHOLD_BILLING_STRIPE_SECRET_KEY is of the account, may read prices, and that the price is recurring";
            Finding::bad(CHECK, found, remedy)
        }
    })
    .collect()
}
