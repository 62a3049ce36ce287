//! What every operation has in common: its problems, and the headers of its answers.

use axum::http::Method;
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::header::Header;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{Object, Schema, Type};
use utoipa::openapi::{OpenApi, Ref, RefOr, Required, Response, ResponseBuilder};

use crate::access::Declared;
use crate::problem::Kind;

/// How a handler says that it answers this status with a problem.
const PROBLEM: &str = "problem";
/// What an operation asks of its caller: `public`, `credential` or a permission.
const PERMISSION: &str = "x-permission";

/// The headers of every answer, and what they say. Those of the limits are missing where no tier counted.
const HEADERS: [(&str, &str); 5] = [
    ("x-request-id", "Names this answer in the logs."),
    ("X-RateLimit-Limit", "How many requests the tier with least left admits in its period."),
    ("X-RateLimit-Remaining", "How many of them are left."),
    ("X-RateLimit-Reset", "When all of them are there again, in seconds since 1970."),
    ("X-RateLimit-Tier", "The tier with least left."),
];

/// Adds what is common to the document.
pub(super) fn add(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    for (name, description) in HEADERS {
        let schema = if name.ends_with("-id") || name.ends_with("Tier") { Type::String } else { Type::Integer };
        let mut header = Header::new(Object::with_type(schema));
        header.description = Some(description.to_owned());
        components.headers.insert(name.to_owned(), header.into());
    }
    for status in statuses() {
        components.responses.insert(component(status), problem(status).into());
    }
    for item in document.paths.paths.values_mut() {
        let PathItem { get, post, put, patch, delete, .. } = item;
        for operation in [get, post, put, patch, delete].into_iter().flatten() {
            complete(operation);
        }
    }
}

/// Says at each operation what it asks for, as its route was registered.
pub(super) fn add_access(document: &mut OpenApi, routes: &[Declared]) {
    for Declared { method, path, access } in routes {
        let operation = document.paths.paths.get_mut(*path).and_then(|item| operation(item, method).as_mut());
        if let Some(operation) = operation {
            operation.extensions.get_or_insert_default().insert(PERMISSION.to_owned(), access.as_str().into());
        }
    }
}

fn operation<'i>(item: &'i mut PathItem, method: &Method) -> &'i mut Option<Operation> {
    match method.as_str() {
        "POST" => &mut item.post,
        "PUT" => &mut item.put,
        "PATCH" => &mut item.patch,
        "DELETE" => &mut item.delete,
        _ => &mut item.get,
    }
}

/// Every status that a problem has, once.
fn statuses() -> Vec<u16> {
    let mut statuses: Vec<u16> = Kind::ALL.iter().map(|kind| kind.status().as_u16()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn component(status: u16) -> String {
    format!("Problem{status}")
}

/// The answer with this status: whatever problem has it.
fn problem(status: u16) -> Response {
    let kinds = Kind::ALL.iter().filter(|kind| kind.status().as_u16() == status);
    let slugs: Vec<String> = kinds.map(|kind| format!("`{}`", kind.slug())).collect();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let mut response =
        ResponseBuilder::new().description(slugs.join(", ")).content("application/problem+json", content);
    let own: &[(&str, Type)] = match status {
        401 => &[("WWW-Authenticate", Type::String)],
        405 => &[("Allow", Type::String)],
        429 | 503 => &[("Retry-After", Type::Integer)],
        _ => &[],
    };
    for (name, schema) in own {
        response = response.header(*name, Header::new(Object::with_type(schema.clone())));
    }
    let mut response = response.build();
    add_headers(&mut response);
    response
}

fn add_headers(response: &mut Response) {
    for (name, _) in HEADERS {
        let header = Ref::new(format!("#/components/headers/{name}"));
        response.headers.insert(name.to_owned(), RefOr::Ref(header));
    }
}

/// Adds the problems that follow from an operation's shape, and the headers of its answers.
fn complete(operation: &mut Operation) {
    // The document says the method and the path already: what follows them is the summary.
    if let Some((_, rest)) = operation.summary.as_deref().and_then(|summary| summary.split_once("`: ")) {
        let mut letters = rest.chars();
        operation.summary = letters.next().map(|first| first.to_uppercase().chain(letters).collect());
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        may_be_missing(body);
    }
    let secured = operation.security.as_ref().is_some_and(|alternatives| !alternatives.is_empty());
    let mut problems = vec![400, 403, 404, 429, 500, 503];
    problems.extend(secured.then_some(401));
    if operation.request_body.is_some() {
        problems.extend([408, 413, 415]);
    }
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        match response {
            RefOr::T(response) if response.description == PROBLEM => problems.extend(status.parse::<u16>()),
            RefOr::T(response) => add_headers(response),
            RefOr::Ref(_) => {}
        }
    }
    responses.retain(|_, response| !matches!(response, RefOr::T(response) if response.description == PROBLEM));
    for status in problems {
        let known = Ref::new(format!("#/components/responses/{}", component(status)));
        responses.entry(status.to_string()).or_insert(RefOr::Ref(known));
    }
}

/// `Option<T>` as a body is no body or a `T`; utoipa describes it as a `T` or the text `null`, which is refused.
fn may_be_missing(body: &mut RequestBody) {
    for content in body.content.values_mut() {
        if let RefOr::T(Content { schema: Some(schema), .. }) = content
            && let RefOr::T(Schema::OneOf(either)) = schema
            && let Some(known) = either.items.iter().find(|item| matches!(item, RefOr::Ref(_)))
        {
            *schema = known.clone();
            body.required = Some(Required::False);
        }
    }
}
