//! The configuration: defaults, then a TOML file, then the environment. Each section is a type that cannot be wrong.
//!
//! `config.default.toml` documents every setting and is compiled in. Every fault is found before anything is done,
//! and said as one line, `NAME: fault; remedy`, with no secret in it.

mod acme;
mod billing;
mod breakers;
mod data;
mod database;
mod domains;
mod env;
mod fault;
mod http;
mod integrations;
mod keys;
mod limits;
mod lockout;
mod log;
mod mail;
mod names;
mod oauth;
mod outbound;
pub(crate) mod passwords;
mod platform;
mod profile;
mod redis;
mod refresh;
mod roots;
#[cfg(test)]
pub(crate) mod scratch;
mod security;
mod signing;
#[cfg(test)]
mod tests;
mod tls;
mod tree;
mod values;
mod waf;

use std::path::{Path, PathBuf};

use freehold_actors::acme::AcmeRule;
use freehold_actors::domain_proofs::ProofRule;
use freehold_actors::integrations::IntegrationsRule;
use freehold_actors::providers::ProvidersRule;
use freehold_actors::public_client::OutboundRule;
use freehold_actors::shared_counters::CounterRule;
use freehold_actors::stripe::StripeRule;
use freehold_domain::breaker::BreakerRule;
use freehold_domain::disclosure::Disclosure;
use freehold_domain::lockout::LockoutRule;
use freehold_domain::tier::Limits;
use freehold_http::client_address::Scheme;

pub(crate) use data::{DEMO_FILE, DEVELOPMENT_KEY_FILE, secrets_in};
pub use data::{control_socket, prepare_data_dir};
pub use database::{Database, Pooler};
pub use env::Env;
pub use fault::{Fault, Faults};
pub use http::{Http, Private};
pub use keys::Keys;
pub use log::LogFilter;
pub use mail::Mail;
pub use passwords::Passwords;
pub use platform::{Domain, Platform, PublicUrl};
pub use profile::Profile;
pub use refresh::Refresh;
pub use signing::Signing;
pub use tls::{Stamp, TlsFiles};
pub use tree::Tree;
pub use waf::Waf;

use values::Values;

/// The exit code of a faulty configuration (`EX_CONFIG` of sysexits).
pub const EXIT_CONFIG: u8 = 78;

/// Every setting, read and checked. `Debug` shows no secret.
#[derive(Debug)]
pub struct Config {
    /// What the server is run for.
    pub profile: Profile,
    /// Where the platform is found.
    pub platform: Platform,
    /// The public listener.
    pub http: Http,
    /// How certificates are ordered, if they are.
    pub acme: Option<AcmeRule>,
    /// The private listener.
    pub private: Private,
    /// Where everything is kept; see [`prepare_data_dir`].
    pub data_dir: PathBuf,
    /// The engine that holds the data.
    pub database: Database,
    /// Where the keeper of shared counters is, if they are shared.
    pub counters: Option<CounterRule>,
    /// The master ring.
    pub keys: Keys,
    /// How much each tier admits.
    pub limits: Limits,
    /// When an account closes, and for how long: 1 to 100 failures, a second to a day.
    pub lockout: LockoutRule,
    /// How passwords are kept and which are refused.
    pub passwords: Passwords,
    /// How letters leave the server.
    pub mail: Mail,
    /// By whose word members sign in.
    pub oauth: ProvidersRule,
    /// The services outside that tenants can connect.
    pub integrations: IntegrationsRule,
    /// What is sold to tenants; `None` when nothing is.
    pub stripe: Option<StripeRule>,
    /// How long a key signs access tokens.
    pub signing: Signing,
    /// The proofs of tenants' own domains.
    pub domains: ProofRule,
    /// Calls to URLs that tenants named.
    pub outbound: OutboundRule,
    /// When a tenant's integration is left alone.
    pub breaker: BreakerRule,
    /// Where to tell of a weakness, if anywhere: one to eight contacts, 1 to 365 days.
    pub disclosure: Option<Disclosure>,
    /// How long tenants stay in memory.
    pub tree: Tree,
    /// How long a refresh waits for others like it.
    pub refresh: Refresh,
    /// The rules that requests are compared with, if any.
    pub waf: Option<Waf>,
    /// Which events are written.
    pub log: LogFilter,
}

impl Config {
    /// How clients reach the platform once `port` listens.
    #[must_use]
    pub fn public_url_at(&self, port: u16) -> PublicUrl {
        let scheme = if self.http.tls.is_some() || self.acme.is_some() { Scheme::Https } else { Scheme::Http };
        self.platform.public_url_at(scheme, port)
    }

    /// Reads the defaults, then `file`, then `env`. Relative paths are relative to the working directory.
    ///
    /// # Errors
    /// Every fault of all three, of the key file they name, and of the modes in the data directory; the exit code is [`EXIT_CONFIG`].
    pub fn load(file: Option<&Path>, env: &Env) -> Result<Self, Faults> {
        let mut values = Values::gather(file, env);
        let profile = profile::read(&mut values);
        let config = Self::read(&mut values, profile);
        finish(config, values)
    }

    /// As [`Config::load`], for `--demo`: the profile is development unless set.
    ///
    /// # Errors
    /// As [`Config::load`]; also where production is set, and for listeners others can reach.
    pub fn load_demo(file: Option<&Path>, env: &Env) -> Result<Self, Faults> {
        let mut values = Values::gather(file, env);
        let profile = profile::read_demo(&mut values);
        http::check_demo(&mut values);
        let config = Self::read(&mut values, profile);
        finish(config, values)
    }

    /// Reads every section before it gives up on one, so that all faults are found.
    fn read(values: &mut Values, profile: Profile) -> Option<Self> {
        let platform = platform::read(values, profile);
        let listeners = http::read(values, profile, platform.as_ref().map(|platform| &platform.domain));
        let acme = acme::read(values);
        let data_dir = data::read(values);
        let database = database::read(values, profile);
        let counters = redis::read(values, profile);
        let keys = keys::read(values, profile, data_dir.as_deref());
        let limits = limits::read(values, profile);
        let lockout = lockout::read(values);
        let passwords = passwords::read(values);
        let mail = mail::read(values, platform.as_ref(), data_dir.as_deref());
        let oauth = oauth::read(values, data_dir.as_deref());
        let integrations = integrations::read(values, data_dir.as_deref());
        let stripe = billing::read(values, data_dir.as_deref());
        let signing = signing::read(values);
        let domains = domains::read(values, profile);
        let outbound = outbound::read(values, domains.as_ref().and_then(|rule| rule.resolver));
        let breaker = breakers::read(values);
        let disclosure = security::read(values);
        let tree = tree::read(values);
        let refresh = refresh::read(values);
        let waf = waf::read(values);
        let log = log::read(values);
        let (http, private) = listeners?;
        Some(Self {
            profile,
            platform: platform?,
            http,
            acme: acme?,
            private,
            data_dir: data_dir?,
            database: database?,
            counters: counters?,
            keys,
            limits,
            lockout: lockout?,
            passwords: passwords?,
            mail: mail?,
            oauth: oauth?,
            integrations: integrations?,
            stripe: stripe?,
            signing: signing?,
            domains: domains?,
            outbound: outbound?,
            breaker: breaker?,
            disclosure: disclosure?,
            tree: tree?,
            refresh: refresh?,
            waf: waf?,
            log: log?,
        })
    }
}

/// `config` if nothing is wrong. Every `None` above comes with a fault: the defaults give each setting a value.
fn finish(config: Option<Config>, values: Values) -> Result<Config, Faults> {
    let faults = values.into_faults();
    config.filter(|_| faults.is_empty()).ok_or(faults)
}
