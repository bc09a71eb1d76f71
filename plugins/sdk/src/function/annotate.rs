//! What a function may answer at intake.

use crate::{Annotation, Annotations, Error};

/// What a function at intake may answer: an [`Annotation`], or a `Result` of one, whose error has the change withheld.
pub trait Annotate {
    /// Writes it down.
    ///
    /// # Errors
    ///
    /// It is an error.
    fn annotate(self, index: usize, annotations: &mut Annotations) -> Result<(), Error>;
}

impl Annotate for Annotation {
    fn annotate(self, index: usize, annotations: &mut Annotations) -> Result<(), Error> {
        annotations.annotate(index, self);
        Ok(())
    }
}

impl<Wrong: Into<Error>> Annotate for Result<Annotation, Wrong> {
    fn annotate(self, index: usize, annotations: &mut Annotations) -> Result<(), Error> {
        self.map_err(Into::into)?.annotate(index, annotations)
    }
}
