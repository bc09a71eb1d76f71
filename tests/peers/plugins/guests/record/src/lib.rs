//! A record as text, for guests that are handed text: read as lazily as serde can, its texts borrowed.

use std::borrow::Cow;

use serde::Deserialize;

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    dynamodb: Images<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Images<'a> {
    #[serde(borrow)]
    old_image: Option<Image<'a>>,
    #[serde(borrow)]
    new_image: Option<Image<'a>>,
}

#[derive(Default, Deserialize, PartialEq)]
struct Image<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    total: Option<Text<'a>>,
}

#[derive(Deserialize, PartialEq)]
struct Text<'a> {
    #[serde(borrow, alias = "S", alias = "N")]
    text: Cow<'a, str>,
}

/// Whether status or total changed.
pub fn keeps(record: &[u8]) -> Result<bool, serde_json::Error> {
    let images = serde_json::from_slice::<Record<'_>>(record)?.dynamodb;
    Ok(images.old_image.unwrap_or_default() != images.new_image.unwrap_or_default())
}
