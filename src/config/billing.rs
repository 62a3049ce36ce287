//! `[billing]`: what the operator sells to tenants, through its account at Stripe. Plans are sold once there is a secret key.

use std::path::Path;
use std::time::Duration;

use freehold_actors::stripe::StripeRule;
use freehold_domain::plan::{Allowance, Plans, Prices};

use super::oauth::{secret, url};
use super::values::Values;

pub(super) const SECRET_KEY: &str = "billing.stripe_secret_key";
const SECRET_KEY_FILE: &str = "billing.stripe_secret_key_file";
const API_URL: &str = "billing.stripe_api_url";
const PRICE_PRO: &str = "billing.price_pro";
const PRICE_BUSINESS: &str = "billing.price_business";
const GRACE_DAYS: &str = "billing.past_due_grace_days";
const PAYOUTS: &str = "billing.payouts";
const MEMBERS: &str = "billing.members_max";
const API_KEYS: &str = "billing.api_keys_max";
const WEBHOOK_ENDPOINTS: &str = "billing.webhook_endpoints_max";
pub(super) const SETTINGS: &[&str] = &[
    SECRET_KEY, SECRET_KEY_FILE, API_URL, PRICE_PRO, PRICE_BUSINESS, GRACE_DAYS, PAYOUTS, MEMBERS, API_KEYS,
    WEBHOOK_ENDPOINTS,
];

/// What is sold, if anything is. The outer `None` comes with a fault.
#[expect(clippy::option_option, reason = "read wrongly, and not set, are two things")]
pub(super) fn read(values: &mut Values, data_dir: Option<&Path>) -> Option<Option<StripeRule>> {
    let secret_key = secret(values, (SECRET_KEY, SECRET_KEY_FILE), data_dir);
    let api_url = url(values, API_URL);
    let (pro, business) = (price(values, PRICE_PRO), price(values, PRICE_BUSINESS));
    let days = values.number(GRACE_DAYS, "days", 0..=90);
    let pays_out = values.read(PAYOUTS, "true or false", "write true or false", |text| text.parse().ok());
    let allowances = [MEMBERS, API_KEYS, WEBHOOK_ENDPOINTS].map(|setting| allowance(values, setting));
    let is_faulty = [SECRET_KEY, SECRET_KEY_FILE, PRICE_PRO, PRICE_BUSINESS].iter().any(|name| values.is_faulty(name));
    let is_sold = values.is_set(SECRET_KEY) || values.is_set(SECRET_KEY_FILE);
    for setting in [PRICE_PRO, PRICE_BUSINESS] {
        if is_sold && !values.is_set(setting) && !is_faulty {
            values.fault(setting, "not set, and the secret key is", "set the id of the price, price_…");
        }
        if !is_sold && values.is_set(setting) && !is_faulty {
            values.fault(
                SECRET_KEY,
                "not set, and a price is",
                "set the secret key of the account that the price is at",
            );
            break;
        }
    }
    let all = |prices: &Prices| [vec![prices.sold.clone()], prices.before.clone()].concat();
    if let (Some(pro), Some(business)) = (&pro, &business)
        && all(business).iter().any(|price| all(pro).contains(price))
    {
        values.fault(PRICE_BUSINESS, "a price of both plans is the same", "set the prices of each plan");
    }
    let (api_url, days, pays_out) = (api_url?, days?, pays_out?);
    let [members, api_keys, webhook_endpoints] = allowances;
    let allowances = [members?, api_keys?, webhook_endpoints?];
    if !is_sold {
        return Some(None);
    }
    let grace = Duration::from_hours(24) * days;
    let plans = Plans { pro: pro?, business: business?, grace, allowances };
    Some(Some(StripeRule { api_url, secret_key: secret_key?, plans, pays_out }))
}

/// What is sold, and after commas what was.
fn price(values: &mut Values, setting: &str) -> Option<Prices> {
    let remedy = "write it as Stripe shows it, price_…, and after commas those that are still paid";
    values.read(setting, "the id of a price", remedy, |text| {
        let mut prices = text.split(',').map(|id| id.trim().parse().ok()).collect::<Option<Vec<_>>>()?.into_iter();
        Some(Prices { sold: prices.next()?, before: prices.collect() })
    })
}

/// Three numbers, or `off` for none, by plan.
fn allowance(values: &mut Values, setting: &str) -> Option<Allowance> {
    let remedy = "write three, for free, pro and business: 3, 25, off";
    values.read(setting, "a number from 0 to 1000000 or off for each plan", remedy, |text| {
        let each = |text: &str| match text.trim() {
            "off" => Some(None),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|most| *most <= 1_000_000).map(Some)
            }
            _ => None,
        };
        let by_plan: Vec<Option<u32>> = text.split(',').map(each).collect::<Option<_>>()?;
        Some(Allowance { by_plan: by_plan.try_into().ok()? })
    })
}
