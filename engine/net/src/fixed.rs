//! Arrays that the kernel is given pointers into.

use std::ptr::NonNull;

/// An array of fixed length whose elements are reached through one pointer only. A reference to the whole array would
/// invalidate the pointers to elements that message headers hold (Rust's aliasing rules); none is ever made.
pub struct Fixed<T> {
    start: NonNull<T>,
    length: usize,
}

impl<T: Copy> Fixed<T> {
    /// So many times this value.
    pub fn new(value: T, length: usize) -> Fixed<T> {
        Fixed::from(vec![value; length].into_boxed_slice())
    }

    /// An element. The pointer is valid as long as the array is.
    pub fn at(&self, index: usize) -> *mut T {
        assert!(index < self.length);
        // SAFETY: the element is inside of the array.
        unsafe { self.start.as_ptr().add(index) }
    }

    /// Elements one behind the other.
    pub fn range(&self, start: usize, length: usize) -> *mut [T] {
        assert!(start + length <= self.length);
        // SAFETY: the first one is inside of the array or just behind it.
        let start = unsafe { self.start.as_ptr().add(start) };
        std::ptr::slice_from_raw_parts_mut(start, length)
    }
}

impl<T> From<Box<[T]>> for Fixed<T> {
    fn from(array: Box<[T]>) -> Fixed<T> {
        let length = array.len();
        Fixed {
            start: NonNull::from(Box::leak(array)).cast(),
            length,
        }
    }
}

impl<T> Drop for Fixed<T> {
    fn drop(&mut self) {
        let array = std::ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.length);
        // SAFETY: it was leaked from a box of this length, and nobody has taken it back.
        drop(unsafe { Box::from_raw(array) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_to_elements_stay_valid_while_others_are_used() {
        let array = Fixed::new(1_u32, 4);
        let (first, rest) = (array.at(0), array.range(1, 3));
        // SAFETY: the array lives, and no reference to its elements is kept.
        unsafe {
            (&mut *rest)[2] = 7;
            *first += 1;
            assert_eq!(*array.at(3), 7);
            assert_eq!((*first, (&*rest)[0]), (2, 1));
        }
        assert_eq!(array.range(4, 0).len(), 0);
    }
}
