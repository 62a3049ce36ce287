//! What the edge knows of a request when it lets it in, and what is learned on the way: one value for the whole way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::http::Extensions;
use freehold_actors::ambient::Ambient;
use freehold_actors::node::Attached;

use crate::access::Access;
use crate::client_address::Client;
use crate::host::{Authority, Place};
use crate::problem::{Kind, Problem};
use crate::request_id::RequestTag;
use crate::series::Series;

/// One request. `Arc<Arrival>` is an extension of every request behind the edge.
#[derive(Debug)]
pub struct Arrival {
    /// Its id.
    pub id: RequestTag,
    /// Who sent it; `None` on a listener that does not say.
    pub client: Option<Client>,
    /// The host it is for, and what lives there; `None` when that cannot be read.
    pub host: Option<(Authority, Place)>,
    /// Time and randomness.
    pub ambient: Ambient,
    pub(crate) series: OnceLock<Arc<Series>>,
    tenant: OnceLock<Box<str>>,
    access: OnceLock<Access>,
    domain: OnceLock<Arc<Attached>>,
    authenticated: AtomicBool,
}

impl Arrival {
    pub(crate) fn new(
        id: RequestTag,
        client: Option<Client>,
        host: Option<(Authority, Place)>,
        ambient: Ambient,
    ) -> Self {
        Self {
            id,
            client,
            host,
            ambient,
            series: OnceLock::new(),
            tenant: OnceLock::new(),
            access: OnceLock::new(),
            domain: OnceLock::new(),
            authenticated: AtomicBool::new(false),
        }
    }

    /// The arrival of the request with these extensions.
    ///
    /// # Errors
    /// [`Kind::Internal`] for a router that is not behind the edge.
    pub fn of(extensions: &Extensions) -> Result<&Arc<Self>, Problem> {
        extensions.get().ok_or_else(|| Problem::new(Kind::Internal))
    }

    /// What lives at its host.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.host.as_ref().map(|(_, place)| place)
    }

    /// Its host is this custom domain. The first call counts.
    pub(crate) fn note_domain(&self, domain: Arc<Attached>) {
        self.domain.get_or_init(|| domain);
    }

    /// The custom domain that its host is, once that was looked up.
    pub(crate) fn domain(&self) -> Option<&Arc<Attached>> {
        self.domain.get()
    }

    /// The request is for the tenant with this slug. The first call counts.
    pub fn note_tenant(&self, slug: &str) {
        self.tenant.get_or_init(|| slug.into());
    }

    /// The slug that was noted.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.tenant.get().map(AsRef::as_ref)
    }

    /// The route asks for this. The first call counts.
    pub(crate) fn note_access(&self, access: Access) {
        self.access.get_or_init(|| access);
    }

    /// What the route asks for, once one was found.
    pub(crate) fn access(&self) -> Option<Access> {
        self.access.get().copied()
    }

    /// A credential was accepted: the answer is `Cache-Control: no-store`, whatever it says.
    pub fn note_authenticated(&self) {
        self.authenticated.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Relaxed)
    }
}
