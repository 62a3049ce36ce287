//! `freehold serve`: listeners, control socket and jobs over one node, until it is told to stop.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use freehold_actors::acme::{self, AcmeRule, Challenges};
use freehold_actors::node::Node;
use freehold_actors::{due, feed, inbox, integrations, jobs, mail, webhooks_out};
use freehold_domain::slug::Slug;
use freehold_http::certificates::Certificates;
use freehold_http::client_address::TrustedProxies;
use freehold_http::edge::EdgeOptions;
use freehold_http::host::Platform;
use freehold_http::private::{self, Private};
use freehold_http::public::{self, Cleartext};
use freehold_http::readiness::Readiness;
use freehold_http::redirect as to_https;
use freehold_http::security::{Deployment, TlsBy};
use freehold_http::serve::{ServeOptions, Tls, Transport, serve as serve_http};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::boot::{self, LastRun};
use crate::certificates;
use crate::cli::Exit;
use crate::clock::AMBIENT;
use crate::config::{Config, Profile, TlsFiles};
use crate::control;
use crate::failure::{Failure, chain};
use crate::listeners::Listeners;
use crate::rules::Rules;
use crate::verbs;
use crate::{open_files, out, verbs::demo_file};

/// How often histograms are folded; without it they grow.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// How often, and how many times, a stopping server looks whether operations are still under way.
const IDLE_LOOK_EVERY: Duration = Duration::from_millis(20);
const IDLE_LOOKS: u32 = 250;

/// Serves until SIGTERM or SIGINT, then drains and saves what must survive.
///
/// # Errors
/// A [`Failure`] when it cannot start. A server that has started ends well.
pub async fn serve(mut config: Config, demo: bool) -> Result<(), Failure> {
    if let Err(error) = open_files::raise() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let rules = Rules::read(&config)?;
    let lock = boot::take_data_dir(&config)?;
    let io = |error: io::Error| Failure::new(Exit::Config, format!("FREEHOLD_DATA_DIR: {error}; check the directory"));
    let opened = boot::open(&config).await?;
    // Whatever can be wrong with the configuration is known now: the ports may open.
    let signals = Signals::listen().map_err(|error| Failure::new(Exit::Internal, error))?;
    let listeners = Listeners::open(&config)?;
    let listening = listeners.told();
    let metrics = PrometheusBuilder::new().install_recorder();
    let metrics = metrics.map_err(|error| Failure::new(Exit::Internal, chain(&error)))?;

    let last_run = LastRun::read(&config.data_dir).map_err(io)?;
    let public = config.public_url_at(listeners.http.address.port());
    let node = boot::start_node(&config, opened, &public, last_run.unseen).await?;
    last_run.hand_over(&node, &config.data_dir).map_err(io)?;
    if demo {
        demo_tenants(&node, &config.data_dir).await?;
    }

    let control = control::bind(&lock).map_err(io)?;
    let (stop, over) = (CancellationToken::new(), CancellationToken::new());
    let (tasks, watchers) = (TaskTracker::new(), TaskTracker::new());
    let readiness = Readiness::new(Arc::clone(&node));
    let profile = config.profile;
    work(&tasks, &node, (profile, control), &stop);
    tasks.spawn(keep_up(metrics.clone(), stop.clone()));
    let (platform, edge) = edge(&config)?;
    let cleartext = if profile == Profile::Production { Cleartext::Redirected } else { Cleartext::Served };
    let connections_max = open_files::connections_max();
    let proxies = TrustedProxies::new(config.http.trusted_proxies.clone());
    let options = ServeOptions { connections_max, proxies, ..ServeOptions::default() };
    if let Some(redirect) = listeners.redirect {
        let challenges = config.acme.is_some().then(|| Challenges::of(Arc::clone(&node)));
        let service = to_https::service(edge.clone(), Arc::clone(&node), challenges);
        tasks.spawn(serve_http(redirect.socket, Transport::Plain, service, options.clone(), stop.clone()));
    }
    let transport = transport((config.http.tls.take(), config.acme.take()), &node, &tasks, &stop)?;
    let deployment = deployment(&config, &transport, cleartext, &rules);
    let service = public::service(Arc::clone(&node), edge, deployment, &readiness);
    tasks.spawn(serve_http(listeners.http.socket, transport, service, options, stop.clone()));
    // Operators watch a drain to its end.
    let edge = EdgeOptions::new(AMBIENT, TrustedProxies::default(), platform);
    let shown =
        Private { node: Arc::clone(&node), readiness: readiness.clone(), metrics: Arc::new(move || metrics.render()) };
    let service = private::service(shown, edge);
    watchers.spawn(serve_http(
        listeners.private.socket,
        Transport::Plain,
        service,
        ServeOptions::default(),
        over.clone(),
    ));
    readiness.accepting(true);
    out::result(&listening).map_err(|error| Failure::new(Exit::Unavailable, error))?;

    signals.until_told_to_stop(&config, &node).await;
    tracing::info!("stopping: requests in flight are finished first");
    readiness.accepting(false);
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    idle(&node).await;
    over.cancel();
    watchers.close();
    watchers.wait().await;
    LastRun::save(&node, &config.data_dir).map_err(io)?;
    node.stop().await;
    node.store.close().await;
    Ok(())
}

/// What a node does by itself until `stop`, and what the command line asks of it.
fn work(tasks: &TaskTracker, node: &Arc<Node>, (profile, control): (Profile, UnixListener), stop: &CancellationToken) {
    let for_control = Arc::clone(node);
    let handler = move |request| {
        let node = Arc::clone(&for_control);
        async move { verbs::answer(&node, profile, request).await }
    };
    tasks.spawn(control::serve_control(control, handler, stop.clone()));
    tasks.spawn(feed::follow(Arc::clone(node), stop.clone()));
    tasks.spawn(jobs::run(Arc::clone(node), stop.clone()));
    tasks.spawn(due::find(Arc::clone(node), stop.clone()));
    tasks.spawn(mail::dispatch::run(Arc::clone(node), stop.clone()));
    tasks.spawn(webhooks_out::run(Arc::clone(node), stop.clone()));
    tasks.spawn(inbox::run(Arc::clone(node), stop.clone()));
    tasks.spawn(integrations::run(Arc::clone(node), stop.clone()));
}

/// What the public listener speaks: TLS where there are certificates or will be, which are looked after until `stop`.
fn transport(
    (files, acme): (Option<TlsFiles>, Option<AcmeRule>),
    node: &Arc<Node>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<Transport, Failure> {
    if files.is_none() && acme.is_none() {
        return Ok(Transport::Plain);
    }
    let held = files.as_ref().map_or_else(Certificates::default, |files| files.certificates.clone());
    let tls = Tls::new(held.of_platform(&node.settings.platform_domain));
    let tls = Arc::new(tls.map_err(|error| Failure::new(Exit::Internal, chain(&error)))?);
    if let Some(files) = files {
        tasks.spawn(certificates::follow(Arc::clone(&tls), files, stop.clone()));
    }
    if let Some(rule) = acme {
        let showcase = Arc::new(certificates::Shown(Arc::clone(&tls)));
        let kept = acme::keep(Arc::clone(node), rule, showcase, stop.clone());
        tasks.spawn(async move {
            if let Err(error) = kept.await {
                tracing::error!(%error, "no certificates are ordered");
            }
        });
    }
    Ok(Transport::Tls(tls))
}

/// How this process is run, for whoever asks what it promises.
#[cfg_attr(not(feature = "waf"), expect(unused_variables, reason = "there are none without the feature"))]
fn deployment(config: &Config, transport: &Transport, cleartext: Cleartext, rules: &Rules) -> Deployment {
    let tls = match (transport, config.http.trusted_proxies.is_empty()) {
        (Transport::Tls(tls), _) => TlsBy::Server(Arc::clone(tls)),
        (Transport::Plain, false) => TlsBy::Proxy,
        (Transport::Plain, true) => TlsBy::Nobody,
    };
    let is_production = config.profile == Profile::Production;
    Deployment {
        is_production,
        tls,
        cleartext,
        disclosure: config.disclosure.clone(),
        #[cfg(feature = "waf")]
        waf: rules.waf.clone(),
    }
}

/// The platform, and the edge of its public listener.
fn edge(config: &Config) -> Result<(Platform, EdgeOptions), Failure> {
    let platform = Platform::new(config.platform.domain.as_str());
    let platform = platform.map_err(|error| Failure::new(Exit::Config, error))?;
    let proxies = TrustedProxies::new(config.http.trusted_proxies.clone());
    Ok((platform.clone(), EdgeOptions::new(AMBIENT, proxies, platform)))
}

async fn keep_up(metrics: PrometheusHandle, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(METRICS_UPKEEP);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        metrics.run_upkeep();
    }
}

/// Waits, but not for ever, until no operation is under way: one whose client hung up goes on all the same.
async fn idle(node: &Node) {
    for _ in 0..IDLE_LOOKS {
        if node.in_flight() == 0 {
            return;
        }
        tokio::time::sleep(IDLE_LOOK_EVERY).await;
    }
    tracing::warn!(in_flight = node.in_flight(), "stopping with operations under way");
}

/// The signals a server listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT; SIGHUP reads the master ring again.
    async fn until_told_to_stop(mut self, config: &Config, node: &Node) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => reread_ring(config, node).await,
            }
        }
    }
}

/// Takes the configured master ring, if it is one that opens this store; otherwise the old one stays.
async fn reread_ring(config: &Config, node: &Node) {
    let ring = match config.keys.reread(&config.data_dir) {
        Ok(Some(ring)) => ring,
        Ok(None) => {
            return tracing::warn!(
                "the master ring is not in a file of its own (FREEHOLD_KEYS_MASTER_FILE), and what a process was started \
                 with does not change: start it again to give it another ring"
            );
        }
        Err(faults) => return tracing::error!(%faults, "the master ring could not be read: the old one stays"),
    };
    match boot::check_ring(&node.store, &ring).await {
        Ok(()) => {
            let (newest, keys) = (ring.newest().to_string(), ring.ids().count());
            node.ring.store(Arc::new(ring));
            tracing::info!(keys.master = newest, keys.count = keys, "the master ring was read again");
        }
        Err(failure) => tracing::error!(fault = failure.message, "the master ring was refused: the old one stays"),
    }
}

/// The tenants of `--demo`, made once. Their passwords are random and stand in the demo file; they are printed to
/// stderr at every start.
async fn demo_tenants(node: &Arc<Node>, data_dir: &Path) -> Result<(), Failure> {
    let path = demo_file(data_dir);
    let mut lines = std::fs::read_to_string(&path).unwrap_or_default();
    for (slug, name) in [("acme", "Acme"), ("globex", "Globex")] {
        let known: Slug = slug.parse().map_err(|error| Failure::new(Exit::Internal, error))?;
        if node.slot(&known).await.is_ok() {
            continue;
        }
        let email = format!("admin@{slug}.example");
        let made = verbs::create(node, slug, Some(name), &email, None).await?;
        let password = made.generated.as_ref().map_or("", |secret| secret.expose().as_str());
        writeln!(lines, "{slug} {email} {password}").map_err(|error| Failure::new(Exit::Internal, error))?;
        let io = |error: io::Error| Failure::new(Exit::Config, format!("FREEHOLD_DATA_DIR: {error}; check it"));
        boot::write_new(&path, lines.as_bytes()).map_err(io)?;
    }
    out::notice(&format!("demo tenants (slug, e-mail, password):\n{}", lines.trim_end()));
    Ok(())
}
