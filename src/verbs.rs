//! What the command line asks of a node, whether a server runs the node or the command itself does.

mod blocks;
mod domains;
mod export;
mod import;
mod keys;
mod shadow;
mod signing_keys;
mod webhook;

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use freehold_actors::breached::Compromised;
use freehold_actors::node::Node;
use freehold_actors::node::load::LoadError;
use freehold_actors::ops::audit::{self, NotRecorded, Verdict};
use freehold_actors::ops::limits;
use freehold_actors::ops::operators::{self, OperatorRefusal};
use freehold_actors::ops::signing_keys::Takeover;
use freehold_actors::ops::tenants::{self, By, FirstAdmin, NewTenant, TenantRefusal, Term};
use freehold_actors::ops::{waf, weight as weights};
use freehold_domain::audit::chain::Finding;
use freehold_domain::email::Email;
use freehold_domain::gcra::Unseen;
use freehold_domain::password::{MIN_WITHOUT_SECOND_FACTOR, Password};
use freehold_domain::rfc3339;
use freehold_domain::secret::Secret;
use freehold_domain::slug::Slug;
use freehold_domain::tenant_state::TenantState;
use freehold_domain::text::{OneLine, free};
use freehold_domain::tier::{Allowance, Limit, Tier};
use freehold_domain::waf::Mode;
use freehold_storage::directory::TenantRow;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::boot;
use crate::cli::{AddressVerb, DomainVerb, Exit, OperatorVerb, Stated, TenantVerb, read_password};
use crate::clock::AMBIENT;
use crate::config::{Config, DEMO_FILE, Database, Profile, control_socket};
use crate::control::{self, Reply, Request};
use crate::failure::{Failure, chain};
use crate::lock::DataDirLock;
use crate::out;

pub use self::export::member_export;
pub use self::import::member_import;
pub use self::keys::{keys_new, keys_rotate};
pub use self::webhook::webhook_verify;

const PAGE: u32 = 200;
/// How long a verb is silent.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs `freehold tenant …`: through the running server, or with the store opened here.
///
/// # Errors
/// What the verb is refused for.
pub async fn tenant(config: &Config, verb: TenantVerb) -> Result<(), Failure> {
    say(replies(config, request(verb)?).await?)
}

/// Runs `freehold operator create`: through the running server, or with the store opened here.
///
/// # Errors
/// What the verb is refused for.
pub async fn operator(config: &Config, verb: OperatorVerb) -> Result<(), Failure> {
    let OperatorVerb::Create { email, password_stdin } = verb;
    let read = || read_password(io::stdin().lock()).map_err(|error| Failure::new(Exit::Data, error));
    let password = password_stdin.then(read).transpose()?;
    say(replies(config, Request::OperatorCreate { email, password }).await?)
}

/// Runs `freehold address …`, through the running server.
///
/// # Errors
/// What the verb is refused for.
pub async fn address(config: &Config, verb: AddressVerb) -> Result<(), Failure> {
    let request = match verb {
        AddressVerb::Blocks => Request::AddressBlocks,
        AddressVerb::Unblock { id } => Request::AddressUnblock { id },
    };
    say(replies(config, request).await?)
}

/// Runs `freehold domain …`: through the running server, or with the store opened here.
///
/// # Errors
/// What the verb is refused for.
pub async fn domain(config: &Config, verb: DomainVerb) -> Result<(), Failure> {
    let request = match verb {
        DomainVerb::List { slug } => Request::DomainList { slug },
        DomainVerb::Remove { slug, domain } => Request::DomainRemove { slug, domain },
    };
    say(replies(config, request).await?)
}

/// Runs `freehold audit verify`: through the running server, or with the store opened here.
///
/// # Errors
/// Exit 65 for a log that is not right, once its fault is on stdout; what the verb is refused for.
pub async fn audit_verify(config: &Config, slug: String) -> Result<(), Failure> {
    let broken = Failure::new(Exit::Data, format!("the audit log of {slug} is not as it was written"));
    let waiting = format!("verifying the audit log of {slug} …");
    let replies = {
        let replies = pin!(replies(config, Request::AuditVerify { slug }));
        patiently(replies, &waiting).await?
    };
    let is_right = replies.iter().all(|reply| !matches!(reply, Reply::Item(item) if item["ok"] == false));
    say(replies)?;
    if is_right { Ok(()) } else { Err(broken) }
}

/// Waits for what may take long, and says so now and then.
async fn patiently<T>(mut wait: impl Future<Output = T> + Unpin, notice: &str) -> T {
    loop {
        match timeout(PATIENCE, &mut wait).await {
            Ok(outcome) => return outcome,
            Err(_) => out::notice(&json!({ "notice": notice })),
        }
    }
}

/// What the running server replies to `request`; without one, what the store does.
async fn replies(config: &Config, request: Request) -> Result<Vec<Reply>, Failure> {
    let mut own = None;
    let replies = ask_server(config, request, &mut own).await;
    if let Some(own) = own {
        own.close().await;
    }
    replies
}

/// What the running server replies to `request`. Without one a node of our own answers, and is handed over in `own`.
async fn ask_server(config: &Config, request: Request, own: &mut Option<Own>) -> Result<Vec<Reply>, Failure> {
    match control::ask(&control_socket(&config.data_dir), &request).await {
        Ok(replies) => Ok(replies),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            if request.needs_server() {
                let message = "no server runs here; who is blocked is known to the server that blocked them alone";
                return Err(Failure::new(Exit::Unavailable, message));
            }
            Ok(own.insert(Own::open(config).await?).answer(request).await)
        }
        Err(error) => Err(Failure::new(Exit::Unavailable, format!("the running server did not answer: {error}"))),
    }
}

/// Results go to stdout, a refusal is a failure.
fn say(replies: Vec<Reply>) -> Result<(), Failure> {
    for reply in replies {
        match reply {
            Reply::Item(item) => out::result(&item).map_err(|error| Failure::new(Exit::Unavailable, error))?,
            Reply::Done => {}
            Reply::Refused { exit, message } => return Err(Failure::new(Exit::of(exit), message)),
        }
    }
    Ok(())
}

fn request(verb: TenantVerb) -> Result<Request, Failure> {
    Ok(match verb {
        TenantVerb::Create { slug, admin_email, admin_password_stdin, name } => {
            let read = || read_password(io::stdin().lock()).map_err(|error| Failure::new(Exit::Data, error));
            let admin_password = admin_password_stdin.then(read).transpose()?;
            Request::TenantCreate { slug, name, admin_email, admin_password }
        }
        TenantVerb::List => Request::TenantList,
        TenantVerb::Suspend(stated) => state(stated, TenantState::Suspended),
        TenantVerb::Freeze(stated) => state(stated, TenantState::ReadOnly),
        TenantVerb::Drain(stated) => state(stated, TenantState::Draining),
        TenantVerb::Hold(stated) => state(stated, TenantState::Held),
        TenantVerb::Resume { slug } => {
            Request::TenantState { slug, state: TenantState::Active, reason: None, until: None }
        }
        TenantVerb::RotateSigningKey { slug, at_once } => Request::TenantRotateSigningKey { slug, at_once },
        TenantVerb::Limit { slug, tier, limit, shadow: true } => {
            let limit = if let Allowance::Own(limit) = limit { limit } else { Limit::Off };
            Request::TenantShadow { slug, tier, limit }
        }
        TenantVerb::EndShadow { slug } => Request::TenantEndShadow { slug },
        TenantVerb::Limit { slug, tier, limit, shadow: false } => Request::TenantLimit { slug, tier, limit },
        TenantVerb::Blocks { slug } => Request::TenantBlocks { slug },
        TenantVerb::Unblock { slug, id } => Request::TenantUnblock { slug, id },
        TenantVerb::Waf { slug, mode } => Request::TenantWaf { slug, mode },
        TenantVerb::Weight { slug, weight } => Request::TenantWeight { slug, weight },
    })
}

fn state(Stated { slug, reason, until }: Stated, state: TenantState) -> Request {
    Request::TenantState { slug, state, reason, until }
}

/// No server runs: the store is opened here, and nobody else can open it until it is closed.
struct Own {
    node: Arc<Node>,
    profile: Profile,
    _lock: DataDirLock,
}

impl Own {
    async fn open(config: &Config) -> Result<Self, Failure> {
        let lock = boot::take_data_dir(config)?;
        let public = config.public_url_at(config.http.listen.port());
        let opened = boot::open(config).await?;
        let node = boot::start_node(config, opened, &public, Unseen::Full).await?;
        Ok(Self { node, profile: config.profile, _lock: lock })
    }

    async fn answer(&self, request: Request) -> Vec<Reply> {
        answer(&self.node, self.profile, request).await
    }

    async fn close(self) {
        self.node.stop().await;
        self.node.store.close().await;
    }
}

/// Does what was asked; the verbs are in force when this returns.
pub async fn answer(node: &Arc<Node>, profile: Profile, request: Request) -> Vec<Reply> {
    match perform(node, profile, request).await {
        Ok(items) => items.into_iter().map(Reply::Item).chain([Reply::Done]).collect(),
        Err(failure) => vec![Reply::Refused { exit: failure.exit.code(), message: failure.message }],
    }
}

async fn perform(node: &Arc<Node>, profile: Profile, request: Request) -> Result<Vec<Value>, Failure> {
    match request {
        Request::TenantCreate { slug, name, admin_email, admin_password } => {
            create(node, &slug, name.as_deref(), &admin_email, admin_password).await.map(|made| vec![made.json(node)])
        }
        Request::TenantList => list(node).await,
        Request::TenantState { slug, state, reason, until } => {
            set_state(node, &slug, state, (reason.as_deref(), until.as_deref())).await
        }
        Request::TenantLimit { tier: Tier::Address, .. } | Request::TenantShadow { tier: Tier::Address, .. } => {
            let message = "address: is a limit of the node, not of a tenant; set FREEHOLD_LIMITS_ADDRESS";
            Err(Failure::new(Exit::Data, message))
        }
        Request::TenantLimit { slug, tier, limit } => {
            if limit == Allowance::Own(Limit::Off) && profile == Profile::Production {
                return Err(Failure::new(Exit::Data, format!("{tier}: a limit cannot be off in production")));
            }
            let slug = parse_slug(&slug)?;
            let set = limits::set(node, &slug, tier, limit, &By::CommandLine).await;
            let in_force = set.map_err(|error| refused(&error))?;
            let own = limit != Allowance::Default;
            Ok(vec![json!({ "slug": slug.as_str(), "tier": tier.as_str(), "limit": in_force.to_string(), "own": own })])
        }
        Request::TenantShadow { slug, tier, limit } => shadow::set(node, &parse_slug(&slug)?, tier, limit).await,
        Request::TenantEndShadow { slug } => shadow::end(node, &parse_slug(&slug)?).await,
        Request::TenantBlocks { slug } => blocks::list(node, &parse_slug(&slug)?).await,
        Request::TenantUnblock { slug, id } => blocks::lift(node, &parse_slug(&slug)?, &id).await,
        Request::AddressBlocks => Ok(blocks::list_addresses(node)),
        Request::AddressUnblock { id } => blocks::lift_address(node, &id).await,
        Request::TenantWaf { slug, mode } => set_waf(node, &slug, mode).await.map(|told| vec![told]),
        Request::TenantWeight { slug, weight } => {
            let slug = parse_slug(&slug)?;
            weights::set(node, &slug, weight, &By::CommandLine).await.map_err(|error| refused(&error))?;
            Ok(vec![json!({ "slug": slug.as_str(), "weight": weight })])
        }
        Request::TenantRotateSigningKey { slug, at_once } => {
            let takeover = if at_once { Takeover::AtOnce } else { Takeover::Announced };
            signing_keys::perform(node, &parse_slug(&slug)?, takeover).await
        }
        Request::MemberImport { slug, lines } => import::perform(node, &parse_slug(&slug)?, &lines).await,
        Request::DomainList { slug } => domains::list(node, &parse_slug(&slug)?).await,
        Request::DomainRemove { slug, domain } => domains::remove(node, &parse_slug(&slug)?, &domain).await,
        Request::MemberExport { slug } => export::perform(node, &parse_slug(&slug)?).await,
        Request::OperatorCreate { email, password } => {
            create_operator(node, &email, password).await.map(|made| vec![made])
        }
        Request::KeysStanding => keys::standing(node).await,
        Request::KeysReseal { after } => keys::reseal(node, after.as_deref()).await,
        Request::KeysSettle { resealed } => keys::settle(node, resealed).await,
        Request::AuditVerify { slug } => verify(node, &parse_slug(&slug)?).await.map(|verdict| vec![verdict]),
    }
}

async fn set_waf(node: &Node, slug: &str, mode: Option<Mode>) -> Result<Value, Failure> {
    if node.settings.waf.is_none() && mode.is_some() {
        let message = "there are no rules: set FREEHOLD_WAF_RULES, in a build with the feature waf";
        return Err(Failure::new(Exit::Data, message));
    }
    let slug = parse_slug(slug)?;
    waf::set(node, &slug, mode, &By::CommandLine).await.map_err(|error| refused(&error))?;
    let in_force = Mode::in_force(node.settings.waf, mode);
    Ok(json!({ "slug": slug.as_str(), "waf": mode.map_or("default", Mode::as_str), "in_force": in_force.as_str() }))
}

/// Why a tenant's state was set, in the operator's words.
type Reason = OneLine<500>;

async fn verify(node: &Node, slug: &Slug) -> Result<Value, Failure> {
    let Verdict { rows, finding } = audit::verify(node, slug).await.map_err(|error| refused(&error))?;
    let slug = slug.as_str();
    Ok(match finding {
        None => json!({ "slug": slug, "rows": rows, "ok": true }),
        Some(Finding { fault, seq }) => {
            json!({ "slug": slug, "rows": rows, "ok": false, "fault": fault.as_str(), "seq": seq })
        }
    })
}

/// A tenant that was made, and the password that was made up for its admin.
pub struct Made {
    row: TenantRow,
    /// The first admin.
    pub admin_email: String,
    /// The password, when it was not given.
    pub generated: Option<Secret<String>>,
}

impl Made {
    fn json(&self, node: &Node) -> Value {
        let mut fields = tenant_json(node, &self.row);
        fields.insert("admin_email".to_owned(), self.admin_email.clone().into());
        if let Some(password) = &self.generated {
            fields.insert("admin_password".to_owned(), password.expose().clone().into());
        }
        fields.into()
    }
}

/// Makes a tenant; without a password one of 160 random bits is made up.
///
/// # Errors
/// Exit 65 for what cannot be accepted, 69 when the store is away.
pub async fn create(
    node: &Arc<Node>,
    slug: &str,
    name: Option<&str>,
    admin_email: &str,
    password: Option<Secret<String>>,
) -> Result<Made, Failure> {
    let slug = parse_slug(slug)?;
    let email: Email = admin_email.parse().map_err(|error| data("admin e-mail", &error))?;
    let name = free(name.unwrap_or(slug.as_str()).to_owned()).map_err(|error| data("name", &error))?;
    let (admin_password, generated) = chosen(password)?;
    let new = NewTenant { slug, name, admin: FirstAdmin::WithPassword(email, admin_password) };
    let row = tenants::create(node, new, &By::CommandLine).await.map_err(|error| refused(&error))?;
    Ok(Made { row, admin_email: admin_email.to_owned(), generated })
}

/// The password that was given, or one that is made up and told.
fn chosen(given: Option<Secret<String>>) -> Result<(Password, Option<Secret<String>>), Failure> {
    let generated = given.is_none().then(make_up_password);
    let typed = given.or_else(|| generated.clone()).unwrap_or_default();
    let password = Password::new(typed.expose()).map_err(|error| data("password", &error))?;
    password.at_least(MIN_WITHOUT_SECOND_FACTOR).map_err(|error| data("password", &error))?;
    Ok((password, generated))
}

/// Makes an operator; without a password one of 160 random bits is made up.
async fn create_operator(node: &Arc<Node>, email: &str, password: Option<Secret<String>>) -> Result<Value, Failure> {
    let address: Email = email.parse().map_err(|error| data("e-mail", &error))?;
    let (password, generated) = chosen(password)?;
    let row = operators::create(node, address, password).await.map_err(|error| match error {
        OperatorRefusal::Taken => Failure::new(Exit::Data, error),
        OperatorRefusal::Tenant(refusal) => refused(&refusal),
    })?;
    let mut fields = json!({ "email": email, "url": tenant_json(node, &row).get("url") });
    if let (Some(password), Some(fields)) = (generated, fields.as_object_mut()) {
        fields.insert("password".to_owned(), password.expose().clone().into());
    }
    Ok(fields)
}

/// A value that cannot be accepted.
fn data(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Data, format!("{what}: {error}"))
}

fn make_up_password() -> Secret<String> {
    Secret::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(AMBIENT.random::<20>()))
}

async fn list(node: &Arc<Node>) -> Result<Vec<Value>, Failure> {
    let (mut items, mut after) = (vec![], String::new());
    loop {
        let page = tenants::list(node, &after, PAGE).await;
        let page = page.map_err(|error| refused(&TenantRefusal::Store(error)))?;
        items.extend(page.iter().map(|row| tenant_json(node, row).into()));
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after.clone_from(&last.slug),
            _ => return Ok(items),
        }
    }
}

async fn set_state(
    node: &Arc<Node>,
    slug: &str,
    state: TenantState,
    (reason, until): (Option<&str>, Option<&str>),
) -> Result<Vec<Value>, Failure> {
    let reason =
        reason.map(|text| free::<Reason>(text.to_owned())).transpose().map_err(|error| data("reason", &error))?;
    let reason = reason.as_ref().map(Reason::as_str);
    let until = until.map(|text| rfc3339::parse(text).ok_or("must be a time like 2027-01-31T18:00:00Z"));
    let until = until.transpose().map_err(|error| data("until", &error))?;
    if until.is_some_and(|until| until <= AMBIENT.wall()) {
        return Err(data("until", &"must be a time to come"));
    }
    let (term, by) = (Term { reason, until }, By::CommandLine);
    let set = tenants::set_state(node, &parse_slug(slug)?, state, term, &by).await.map_err(|error| refused(&error))?;
    let mut json = tenant_json(node, &set.tenant);
    json.extend(set.replaced.map(|replaced| ("replaced".to_owned(), replaced.into())));
    Ok(vec![json.into()])
}

fn tenant_json(node: &Node, row: &TenantRow) -> Map<String, Value> {
    let url = row.slug.parse::<Slug>().map(|slug| node.settings.issuer(&slug)).ok();
    let fields = [
        ("id", row.id.to_string().into()),
        ("slug", row.slug.clone().into()),
        ("name", row.name.clone().into()),
        ("url", url.into()),
        ("state", row.state.name.clone().into()),
    ];
    fields.into_iter().map(|(name, value): (&str, Value)| (name.to_owned(), value)).collect()
}

fn parse_slug(slug: &str) -> Result<Slug, Failure> {
    slug.parse().map_err(|error| Failure::new(Exit::Data, format!("slug {error}")))
}

fn refused(error: &TenantRefusal) -> Failure {
    let exit = match error {
        TenantRefusal::Reserved(_)
        | TenantRefusal::Taken(_)
        | TenantRefusal::Unknown(_)
        | TenantRefusal::Password(Compromised::Common | Compromised::Known) => Exit::Data,
        TenantRefusal::Password(Compromised::Unknown)
        | TenantRefusal::Store(_)
        | TenantRefusal::Rival
        | TenantRefusal::Keys(LoadError::Unavailable | LoadError::UnknownMaster | LoadError::Quarantined)
        | TenantRefusal::Unrecorded(NotRecorded::Store(_) | NotRecorded::Keys(_)) => Exit::Unavailable,
        TenantRefusal::Internal
        | TenantRefusal::Keys(LoadError::Corrupt)
        | TenantRefusal::Unrecorded(NotRecorded::Crypto(_)) => Exit::Internal,
    };
    Failure::new(exit, chain(error))
}

/// Runs `freehold migrate`: brings the PostgreSQL schema up to date, or says what that would do.
///
/// # Errors
/// Exit 78 without an owner's address, and what the database refuses.
pub async fn migrate(config: &Config, plan: bool) -> Result<(), Failure> {
    let Database::Postgres { migrate_url, .. } = &config.database else {
        out::notice(&"SQLite stores are migrated when they are opened; there is nothing to do");
        return Ok(());
    };
    let missing = "FREEHOLD_DATABASE_MIGRATE_URL: missing; set it to the owner's database address";
    let owner = migrate_url.as_ref().ok_or_else(|| Failure::new(Exit::Config, missing))?;
    let steps = if plan {
        freehold_storage::migrate::plan(owner).await
    } else {
        freehold_storage::migrate::postgres(owner).await
    };
    for step in steps.map_err(|error| boot::refused(&error))? {
        let line = json!({ "version": step.version, "description": step.description, "applied": !plan });
        out::result(&line).map_err(|error| Failure::new(Exit::Unavailable, error))?;
    }
    Ok(())
}

/// Where the passwords of the demo tenants stand.
#[must_use]
pub fn demo_file(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join(DEMO_FILE)
}
