//! `GET /problems/{slug}`: what a problem's `type` leads to.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};

use super::{Kind, Problem};
use crate::headers::{Nonce, Page};
use crate::pages::ICON;

/// `GET /problems/{slug}`: a short page for people; 404 for a slug that is not in the table.
///
/// # Errors
/// [`Kind::NotFound`] when no problem has this slug.
#[utoipa::path(get, path = "/problems/{slug}", tag = "public", operation_id = "problem",
    params(("slug" = String, Path, description = "The last part of a problem's `type`.")),
    responses((status = 200, description = "A page for people.", content_type = "text/html", body = String)),
)]
pub async fn page(nonce: Nonce, Path(slug): Path<String>) -> Result<Response, Problem> {
    let kind = Kind::from_slug(&slug).ok_or(Problem::new(Kind::NotFound))?;
    // Everything in the text is from the table of kinds: nothing needs escaping.
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\">{ICON}<style nonce=\"{nonce}\">\
         body{{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}}code{{opacity:.7}}\
         </style></head><body><main><h1>{title}</h1><p>{explanation}</p><p><code>{status} {slug}</code></p></main></body></html>\n",
        title = kind.title(),
        explanation = kind.explanation(),
        status = kind.status().as_u16(),
    );
    Ok(Page::new(nonce, html).into_response())
}
