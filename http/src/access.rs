//! What a route asks of whoever calls it. There is no other way to serve one on the public listener than to say it.
//!
//! A handler is registered in [`Routes`] together with its access, and the arguments it takes must agree: what
//! [`May`] asks for is checked where the handler gets its [`Member`], so a handler of such a route must take one first, and
//! a handler of a route for everybody cannot take one at all.
//!
//! ```
//! use freehold_domain::policy::Permission;
//! use freehold_http::access::{May, Public, Routes};
//! use freehold_http::caller::{Member, Tenant};
//!
//! async fn open(_: Tenant) {}
//! async fn guarded(_: Member) {}
//! Routes::default().get("/a", Public, open).get("/b", May(Permission::AuditRead), guarded);
//! ```
//!
//! No route without its access:
//!
//! ```compile_fail
//! use freehold_http::{access::Routes, caller::Tenant};
//!
//! async fn open(_: Tenant) {}
//! Routes::default().get("/a", open);
//! ```
//!
//! No route for everybody that acts for a member:
//!
//! ```compile_fail
//! use freehold_http::{access::{Public, Routes}, caller::Member};
//!
//! async fn guarded(_: Member) {}
//! Routes::default().get("/b", Public, guarded);
//! ```
//!
//! No route for everybody that acts for the holder of an API key:
//!
//! ```compile_fail
//! use freehold_http::{access::{Public, Routes}, api_host::KeyHolder};
//!
//! async fn keyed(_: KeyHolder) {}
//! Routes::default().get("/c", Public, keyed);
//! ```
//!
//! No route with a permission that nobody checks:
//!
//! ```compile_fail
//! use freehold_domain::policy::Permission;
//! use freehold_http::{access::{May, Routes}, caller::Tenant};
//!
//! async fn open(_: Tenant) {}
//! Routes::default().get("/a", May(Permission::AuditRead), open);
//! ```

use axum::Extension;
use axum::Router;
use axum::extract::{FromRequestParts as _, Path, Request};
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::http::{Extensions, Method};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use freehold_domain::access_token::AccessClaims;
use freehold_domain::api_key::{Scope, Scopes};
use freehold_domain::id::MemberId;
use freehold_domain::policy::{Permission, Policy};

use crate::api_host::KeyHolder;
use crate::arrival::Arrival;
use crate::body::{Raw, Valid, Validate};
use crate::caller::{Member, Tenant, Visitor};
use crate::csp_reports::Reported;
use crate::disclosure::Here;
use crate::forward::Asked;
use crate::headers::Nonce;
use crate::problem::{Kind, Problem};
use crate::query::Query;
use crate::security_reports::Told;
use crate::webhooks::Delivered;

/// Anybody may.
#[derive(Clone, Copy, Debug)]
pub struct Public;

/// Whoever holds what the request carries: a password, a challenge, a refresh token. No role is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Credential;

/// A signed-in member whose role may do this by the policy.
#[derive(Clone, Copy, Debug)]
pub struct May(pub Permission);

/// A signed-in member whose role may do `own` where the path's `{id}` is the member itself, and `others` where it is not.
#[derive(Clone, Copy, Debug)]
pub struct MayOwn {
    /// To what is the member's own.
    pub own: Permission,
    /// To everybody else's.
    pub others: Permission,
}

/// Whoever holds an API key that has this scope, at the API host.
#[derive(Clone, Copy, Debug)]
pub struct WithKey(pub Scope);

/// What was declared for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// See [`Public`].
    Public,
    /// See [`Credential`].
    Credential,
    /// See [`May`].
    May(Permission),
    /// See [`MayOwn`].
    MayOwn {
        /// To what is the member's own.
        own: Permission,
        /// To everybody else's.
        others: Permission,
    },
    /// See [`WithKey`].
    WithKey(Scope),
}

impl Access {
    /// `public`, `credential`, the scope, or the permission, with [`MayOwn`] the one to what is others'.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Credential => "credential",
            Self::May(permission) | Self::MayOwn { others: permission, .. } => permission.as_str(),
            Self::WithKey(scope) => scope.as_str(),
        }
    }
}

/// The routes of a host, each with its access.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    router: Router,
    declared: Vec<Declared>,
}

/// One operation, as it was registered.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Its method.
    pub method: Method,
    /// Its path, as it is routed.
    pub path: &'static str,
    /// What it asks for.
    pub access: Access,
}

/// An access that agrees with the arguments `T` of a handler.
#[diagnostic::on_unimplemented(
    message = "this access does not agree with the handler's arguments",
    note = "a handler of `May(..)` takes a `Member` first, one of `WithKey(..)` a `KeyHolder`, and no other handler takes one"
)]
pub trait Admits<T> {
    /// The access.
    fn access(self) -> Access;
}

impl<T: ForAnybody> Admits<T> for Public {
    fn access(self) -> Access {
        Access::Public
    }
}

impl<T: ForAnybody> Admits<T> for Credential {
    fn access(self) -> Access {
        Access::Credential
    }
}

impl<T: ForMembers> Admits<T> for May {
    fn access(self) -> Access {
        Access::May(self.0)
    }
}

impl<T: ForMembers> Admits<T> for MayOwn {
    fn access(self) -> Access {
        Access::MayOwn { own: self.own, others: self.others }
    }
}

impl<T: ForKeys> Admits<T> for WithKey {
    fn access(self) -> Access {
        Access::WithKey(self.0)
    }
}

impl Routes {
    /// Adds `GET`, and `HEAD` with it.
    #[must_use]
    pub fn get<T: 'static>(self, path: &'static str, access: impl Admits<T>, handler: impl Handler<T, ()>) -> Self {
        self.add(Method::GET, path, access, handler, get)
    }

    /// Adds `POST`.
    #[must_use]
    pub fn post<T: 'static>(self, path: &'static str, access: impl Admits<T>, handler: impl Handler<T, ()>) -> Self {
        self.add(Method::POST, path, access, handler, post)
    }

    /// Adds `PUT`.
    #[must_use]
    pub fn put<T: 'static>(self, path: &'static str, access: impl Admits<T>, handler: impl Handler<T, ()>) -> Self {
        self.add(Method::PUT, path, access, handler, put)
    }

    /// Adds `PATCH`.
    #[must_use]
    pub fn patch<T: 'static>(self, path: &'static str, access: impl Admits<T>, handler: impl Handler<T, ()>) -> Self {
        self.add(Method::PATCH, path, access, handler, patch)
    }

    /// Adds `DELETE`.
    #[must_use]
    pub fn delete<T: 'static>(self, path: &'static str, access: impl Admits<T>, handler: impl Handler<T, ()>) -> Self {
        self.add(Method::DELETE, path, access, handler, delete)
    }

    /// These and those.
    #[must_use]
    pub fn merge(mut self, others: Self) -> Self {
        self.declared.extend(others.declared);
        Self { router: self.router.merge(others.router), declared: self.declared }
    }

    /// Gives what these routes' handlers take by [`Extension`].
    #[must_use]
    pub fn with<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
        Self { router: self.router.layer(Extension(value)), declared: self.declared }
    }

    /// What was declared for each operation.
    #[must_use]
    pub fn declared(&self) -> &[Declared] {
        &self.declared
    }

    /// The router, which cannot be added to without us any more.
    pub(crate) fn into_router(self) -> Router {
        self.router
    }

    fn add<T: 'static, H: Handler<T, ()>>(
        mut self,
        method: Method,
        path: &'static str,
        access: impl Admits<T>,
        handler: H,
        route: fn(Declaring<H>) -> MethodRouter,
    ) -> Self {
        let access = access.access();
        self.declared.push(Declared { method, path, access });
        Self { router: self.router.route(path, route(Declaring { access, handler })), declared: self.declared }
    }
}

/// A handler that notes its access in the request's [`Arrival`] before it runs: no more than that, and nothing allocated.
#[derive(Clone, Debug)]
struct Declaring<H> {
    access: Access,
    handler: H,
}

impl<T: 'static, H: Handler<T, ()>> Handler<T, ()> for Declaring<H> {
    type Future = H::Future;

    fn call(self, request: Request, state: ()) -> H::Future {
        if let Ok(arrival) = Arrival::of(request.extensions()) {
            arrival.note_access(self.access);
        }
        self.handler.call(request, state)
    }
}

/// Whether a signed-in member may do what the request's route asks for. The one place that decides it.
///
/// # Errors
/// [`Kind::Forbidden`] when the policy does not allow it, [`Kind::Internal`] when the route asks for no permission.
pub(crate) async fn check(parts: &mut Parts, policy: &Policy, claims: &AccessClaims) -> Result<(), Problem> {
    let declared = Arrival::of(&parts.extensions)?.access();
    let is_direct = matches!(declared, Some(Access::May(_)));
    let permission = match declared {
        Some(Access::May(permission)) => permission,
        Some(Access::MayOwn { own, others }) => {
            let id = Path::<MemberId>::from_request_parts(parts, &()).await;
            if id.is_ok_and(|Path(id)| id == claims.sub) { own } else { others }
        }
        undeclared @ (Some(Access::Public | Access::Credential | Access::WithKey(_)) | None) => {
            tracing::error!(access = ?undeclared, "a route acts for members and asks for no permission");
            return Err(Problem::new(Kind::Internal));
        }
    };
    if claims.act.is_some() && !(permission.is_open_to_support() && is_direct) {
        return Err(Problem::new(Kind::Forbidden).detail("An operator who acts as a member may only look."));
    }
    if policy.may(claims.role, permission) { Ok(()) } else { Err(Problem::new(Kind::Forbidden)) }
}

/// Whether an API key may be used for what the request's route asks for.
///
/// # Errors
/// [`Kind::Forbidden`] when it has not that scope, [`Kind::Internal`] when the route asks for none.
pub(crate) fn check_key(extensions: &Extensions, scopes: Scopes) -> Result<(), Problem> {
    match Arrival::of(extensions)?.access() {
        Some(Access::WithKey(scope)) if scopes.has(scope) => Ok(()),
        Some(Access::WithKey(_)) => {
            Err(Problem::new(Kind::Forbidden).detail("The key does not have the scope that this takes."))
        }
        undeclared @ (Some(Access::Public | Access::Credential | Access::May(_) | Access::MayOwn { .. }) | None) => {
            tracing::error!(access = ?undeclared, "a route acts for API keys and asks for no scope");
            Err(Problem::new(Kind::Internal))
        }
    }
}

/// What a handler may take whoever calls.
pub trait Anybody {}

impl Anybody for Tenant {}
impl Anybody for Visitor {}
impl Anybody for Asked {}
impl Anybody for Here {}
impl Anybody for Nonce {}
impl Anybody for Raw {}
impl Anybody for Reported {}
impl Anybody for Told {}
impl Anybody for Delivered {}
impl<T> Anybody for Query<T> {}
impl<T: Validate> Anybody for Valid<T> {}
impl<T> Anybody for Path<T> {}
impl<T> Anybody for Extension<T> {}

/// What a handler gets only if the caller may do what its route asks for, by [`check`].
pub trait Checked {}

impl Checked for Member {}

/// What a handler gets only if the caller's key has the scope that its route asks for, by [`check_key`].
pub trait KeyChecked {}

impl KeyChecked for KeyHolder {}

/// The arguments of a handler that acts for nobody in particular.
pub trait ForAnybody {}
/// The arguments of a handler that acts for a member: it first, then whatever else.
pub trait ForMembers {}
/// The arguments of a handler that acts for the holder of an API key: that first, then whatever else.
pub trait ForKeys {}

// The first of axum's types says whether the last argument reads the body.
impl ForAnybody for ((),) {}

macro_rules! arguments {
    ($($argument:ident)*) => {
        impl<M, $($argument: Anybody),*> ForAnybody for (M, $($argument,)*) {}
        impl<M, Who: Checked, $($argument: Anybody),*> ForMembers for (M, Who, $($argument,)*) {}
        impl<M, Who: KeyChecked, $($argument: Anybody),*> ForKeys for (M, Who, $($argument,)*) {}
    };
}

arguments! { A }
arguments! { A B }
arguments! { A B C }
arguments! { A B C D }

impl<M, Who: Checked> ForMembers for (M, Who) {}
impl<M, Who: KeyChecked> ForKeys for (M, Who) {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::http::HeaderMap;
    use axum::response::IntoResponse as _;
    use freehold_actors::ambient::Ambient;
    use freehold_domain::policy::PRINT_SHOP;
    use freehold_domain::role::Role;
    use freehold_domain::time::UnixMs;
    use serde_json::json;

    use super::*;
    use crate::request_id::{RequestIds, RequestTag};

    /// How a member of this role fares where this was declared.
    async fn asked(access: Option<Access>, role: Role) -> Option<u16> {
        let now = || UnixMs::new(0);
        let ambient = Ambient { now, wall: now, fill: |bytes| bytes.fill(1) };
        let id = RequestTag::of(&HeaderMap::new(), false, &RequestIds::new(ambient), ambient);
        let arrival = Arrival::new(id, None, None, ambient);
        if let Some(access) = access {
            arrival.note_access(access);
        }
        let (mut parts, ()) = axum::http::Request::new(()).into_parts();
        parts.extensions.insert(Arc::new(arrival));
        let id = "019a0000-0000-7000-8000-000000000000";
        let claims = json!({
            "iss": "", "aud": "", "sub": id, "tid": id, "sid": id, "role": role, "epoch": 0, "iat": 0, "exp": 0, "jti": id,
        });
        let claims = serde_json::from_value(claims).expect("claims");
        let policy = Policy::parse(PRINT_SHOP).expect("a policy");
        let refused = check(&mut parts, &policy, &claims).await.err();
        refused.map(|problem| problem.into_response().status().as_u16())
    }

    #[tokio::test]
    async fn the_policy_decides_and_what_is_not_declared_is_closed() {
        let (audit, me) = (Access::May(Permission::AuditRead), Access::May(Permission::OwnProfileRead));
        // No path names anybody here: it is not the caller's own.
        let others = Access::MayOwn { own: Permission::OwnProfileRead, others: Permission::MembersRead };
        for (role, refused) in [(Role::Admin, None), (Role::SalesRep, Some(403)), (Role::Employee, Some(403))] {
            assert_eq!(asked(Some(audit), role).await, refused, "{role}");
            assert_eq!(asked(Some(others), role).await, refused, "{role}");
            assert_eq!(asked(Some(me), role).await, None, "{role}");
        }
        for undeclared in [None, Some(Access::Public), Some(Access::Credential), Some(Access::WithKey(Scope::Chat))] {
            assert_eq!(asked(undeclared, Role::Admin).await, Some(500), "{undeclared:?}");
        }
    }

    #[test]
    fn what_is_declared_is_kept_with_its_route() {
        async fn anybody() {}
        let some = Routes::default().get("/a", Public, anybody);
        let routes = Routes::default().put("/b", Credential, anybody).delete("/b", Public, anybody).merge(some);
        let declared = routes.declared().iter().map(|route| (route.method.as_str(), route.path, route.access.as_str()));
        let wanted = [("PUT", "/b", "credential"), ("DELETE", "/b", "public"), ("GET", "/a", "public")];
        assert_eq!(declared.collect::<Vec<_>>(), wanted);
    }
}
