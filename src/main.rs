//! The `freehold` program.

use std::process::ExitCode;
use std::time::Duration;

use freehold::cli::{AuditVerb, Cli, Exit, KeysVerb, MemberVerb, Verb, WebhookVerb};
use freehold::config::{Config, Env, Faults};
use freehold::failure::Failure;
use freehold::{doctor, logging, serve, verbs};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    // The one TLS provider, before anything can want another.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return Failure::new(Exit::Internal, "a TLS provider is installed already").report().into();
    }
    match Cli::read(std::env::args_os()) {
        Ok(cli) => run(cli).map_or_else(|failure| failure.report(), |()| Exit::Ok).into(),
        Err(exit) => exit.into(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let env = Env::from_process();
    let load = |demo: bool| -> Result<Config, Faults> {
        if demo { Config::load_demo(cli.config.as_deref(), &env) } else { Config::load(cli.config.as_deref(), &env) }
    };
    match cli.verb {
        Verb::Keys(KeysVerb::New { id }) => verbs::keys_new(id),
        Verb::Keys(KeysVerb::Rotate) => {
            let config = load(false)?;
            logging::to_stderr(&config.log);
            runtime()?.block_on(verbs::keys_rotate(&config))
        }
        Verb::Webhook(WebhookVerb::Verify) => verbs::webhook_verify(),
        Verb::Serve { demo } => {
            let config = load(demo)?;
            logging::to_stderr(&config.log);
            runtime()?.block_on(serve::serve(config, demo))
        }
        Verb::Tenant(verb) => {
            let config = load(false)?;
            logging::to_stderr(&config.log);
            runtime()?.block_on(verbs::tenant(&config, verb))
        }
        Verb::Doctor { argon2_target_ms } => {
            let config = load(false);
            if let Ok(config) = &config {
                logging::to_stderr(&config.log);
            }
            match argon2_target_ms {
                Some(ms) => doctor::propose_for(&config?, Duration::from_millis(ms)),
                None => runtime()?.block_on(doctor::examine(config)),
            }
        }
        Verb::Address(verb) => {
            let config = load(false)?;
            logging::to_stderr(&config.log);
            runtime()?.block_on(verbs::address(&config, verb))
        }
        Verb::Operator(verb) => {
            let config = load(false)?;
            logging::to_stderr(&config.log);
            runtime()?.block_on(verbs::operator(&config, verb))
        }
        Verb::Domain(verb) => {
            let config = load(false)?;
            logging::to_stderr(&config.log);
            runtime()?.block_on(verbs::domain(&config, verb))
        }
        Verb::Audit(AuditVerb::Verify { slug }) => {
            let config = load(false)?;
            logging::to_stderr(&config.log);
            runtime()?.block_on(verbs::audit_verify(&config, slug))
        }
        Verb::Member(MemberVerb::Import { slug }) => {
            let config = load(false)?;
            logging::to_stderr(&config.log);
            runtime()?.block_on(verbs::member_import(&config, &slug))
        }
        Verb::Member(MemberVerb::Export { slug }) => {
            let config = load(false)?;
            logging::to_stderr(&config.log);
            runtime()?.block_on(verbs::member_export(&config, slug))
        }
        Verb::Migrate { plan } => {
            let config = load(false)?;
            logging::to_stderr(&config.log);
            runtime()?.block_on(verbs::migrate(&config, plan))
        }
    }
}

fn runtime() -> Result<Runtime, Failure> {
    Runtime::new().map_err(|error| Failure::new(Exit::Internal, error))
}
