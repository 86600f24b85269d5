//! Pages of lists.

use serde::{Deserialize, Serialize};

use super::{Error, Result};

/// Which slice of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    page: u64,
    size: u64,
}

impl PageRequest {
    /// The size of a page if none is asked for.
    pub const DEFAULT_SIZE: u64 = 20;
    /// The largest page.
    pub const MAX_SIZE: u64 = 200;
    /// The last page that may be asked for: beyond it, a filter is the way.
    pub const MAX_PAGE: u64 = 1_000_000;

    /// Checks the numbers; the first page is 1.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the page or the size is out of range.
    pub fn new(page: Option<u64>, size: Option<u64>) -> Result<Self> {
        let (page, size) = (page.unwrap_or(1), size.unwrap_or(Self::DEFAULT_SIZE));
        if !(1..=Self::MAX_PAGE).contains(&page) {
            return Err(Error::field("/page", format!("page {page} is not between 1 and {}", Self::MAX_PAGE)));
        }
        if !(1..=Self::MAX_SIZE).contains(&size) {
            return Err(Error::field("/size", format!("size {size} is not between 1 and {}", Self::MAX_SIZE)));
        }
        Ok(Self { page, size })
    }

    /// Returns the number of the page; the first is 1.
    pub fn page(self) -> u64 {
        self.page
    }

    /// Returns how many items a page has.
    pub fn size(self) -> u64 {
        self.size
    }

    /// Returns how many items come before the page.
    pub fn offset(self) -> u64 {
        (self.page - 1) * self.size
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { page: 1, size: Self::DEFAULT_SIZE }
    }
}

/// A slice of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paged<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// How many there are in the whole list, or at least.
    pub total: u64,
    /// Whether there are more than `total`: a long list is counted up to a bound only.
    pub more: bool,
    /// The number of this page; the first is 1.
    pub page: u64,
    /// How many items a full page has.
    pub size: u64,
    /// The number of the next page; `None` on the last.
    pub next: Option<u64>,
}

impl<T> Paged<T> {
    /// Puts items and total into the page that was asked for.
    pub fn new(items: Vec<T>, total: u64, request: PageRequest) -> Self {
        let next = (request.offset() + request.size() < total).then_some(request.page + 1);
        Self { items, total, more: false, page: request.page, size: request.size, next }
    }

    /// Puts items into the page that was asked for, of a list that has at least `total` items and more.
    pub fn of_many(items: Vec<T>, total: u64, request: PageRequest) -> Self {
        let is_full = items.len() as u64 == request.size;
        let next = is_full.then_some(request.page + 1).filter(|page| *page <= PageRequest::MAX_PAGE);
        Self { items, total, more: true, page: request.page, size: request.size, next }
    }

    /// Turns every item into another, if all can be.
    ///
    /// # Errors
    /// That of the first item that cannot.
    pub fn try_map<U, E>(self, turn: impl FnMut(T) -> Result<U, E>) -> Result<Paged<U>, E> {
        let Self { items, total, more, page, size, next } = self;
        Ok(Paged { items: items.into_iter().map(turn).collect::<Result<_, E>>()?, total, more, page, size, next })
    }

    /// Turns every item into another.
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> Paged<U> {
        let Self { items, total, more, page, size, next } = self;
        Paged { items: items.into_iter().map(turn).collect(), total, more, page, size, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_checked_and_know_the_next() {
        for (page, size, fits) in
            [(None, None, true), (Some(0), None, false), (None, Some(201), false), (None, Some(0), false)]
        {
            assert_eq!(PageRequest::new(page, size).is_ok(), fits, "{page:?} {size:?}");
        }
        let request = PageRequest::new(Some(2), Some(10)).expect("in range");
        assert_eq!(request.offset(), 10);
        assert_eq!(Paged::<()>::new(vec![], 20, request).next, None);
        assert_eq!(Paged::<()>::new(vec![], 21, request).next, Some(3));
        assert_eq!(Paged::of_many(vec![(); 10], 15, request).next, Some(3), "how many more is not known");
        assert_eq!(Paged::of_many(vec![(); 9], 15, request).next, None);
    }
}
