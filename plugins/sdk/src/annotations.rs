//! What an annotator says about changes, in a shape that cannot break the contract: at most one annotation each, in order.

use crate::intake_bindings::exports::weir::plugin::annotating;
use crate::{Field, RedactionMethod};

/// What is said about one change, and what is taken out of it before it is recorded.
///
/// `omit`, `mask` and `hash` are for the old and the new image alike: what only one of them lost could be read in the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Annotation {
    actor: Option<String>,
    reason: Option<String>,
    tags: Vec<(String, String)>,
    redactions: Vec<annotating::Redaction>,
}

impl Annotation {
    /// Leaves the change as it is.
    pub fn none() -> Self {
        Self::default()
    }

    /// Says who made the change. Its assurance is `claimed`. Of a change that the database made itself, such as a TTL delete,
    /// the database goes on being the actor.
    pub fn actor(mut self, name: impl Into<String>) -> Self {
        self.actor = Some(name.into());
        self
    }

    /// Says why the change was made.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Tags the change. A name is there once.
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((name.into(), value.into()));
        self
    }

    /// Takes what lies under this JSON pointer out of both images. In a list, null is left in its place.
    pub fn omit(self, pointer: &str) -> Self {
        self.in_both(pointer, RedactionMethod::Omit)
    }

    /// Leaves `***` where something was.
    pub fn mask(self, pointer: &str) -> Self {
        self.in_both(pointer, RedactionMethod::Mask)
    }

    /// Leaves a keyed hash: what was equal stays equal, in this change and all others.
    ///
    /// An attribute of the key can only be hashed, and as a whole. It is hashed in the key and both images.
    pub fn hash(self, pointer: &str) -> Self {
        self.in_both(pointer, RedactionMethod::Hash)
    }

    /// Redacts one field of one part.
    pub fn redact(mut self, field: Field, method: RedactionMethod) -> Self {
        self.redactions.push(annotating::Redaction {
            field: field.into(),
            method,
        });
        self
    }

    fn in_both(self, pointer: &str, method: RedactionMethod) -> Self {
        self.redact(Field::old_image(pointer), method)
            .redact(Field::new_image(pointer), method)
    }
}

/// At most one annotation for each change of a batch. An index past the end of the batch panics.
#[derive(Debug)]
pub struct Annotations {
    annotations: Vec<Annotation>,
}

impl Annotations {
    pub(crate) fn new(count: u32) -> Self {
        Self {
            annotations: vec![Annotation::none(); count as usize],
        }
    }

    /// Annotates a change. The last annotation of a change counts.
    pub fn annotate(&mut self, index: usize, annotation: Annotation) {
        self.annotations[index] = annotation;
    }

    pub(crate) fn into_contract(self) -> Vec<annotating::Annotation> {
        let annotations = (0..).zip(self.annotations);
        let said = annotations.filter(|(_, annotation)| *annotation != Annotation::none());
        said.map(|(index, annotation)| annotating::Annotation {
            index,
            actor: annotation.actor,
            reason: annotation.reason,
            tags: annotation.tags,
            redactions: annotation.redactions,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_redaction_is_for_both_images_and_what_was_not_annotated_is_not_mentioned() {
        let mut annotations = Annotations::new(3);
        annotations.annotate(2, Annotation::none().mask("/name").tag("kind", "person"));
        annotations.annotate(0, Annotation::none().actor("maria"));
        annotations.annotate(0, Annotation::none().actor("jonas").reason("moved"));
        expect![[r#"
            [
                Annotation { index: 0, actor: Some("jonas"), reason: Some("moved"), tags: [], redactions: [] },
                Annotation { index: 2, actor: None, reason: None, tags: [("kind", "person")], redactions: [Redaction { field: Field { part: Part::Old, path: "/name" }, method: RedactionMethod::Mask }, Redaction { field: Field { part: Part::New, path: "/name" }, method: RedactionMethod::Mask }] },
            ]"#]]
        .assert_eq(&shown(&annotations.into_contract()));
    }

    fn shown(annotations: &[annotating::Annotation]) -> String {
        let lines = annotations.iter().map(|annotation| format!("    {annotation:?},\n"));
        format!("[\n{}]", lines.collect::<String>())
    }
}
