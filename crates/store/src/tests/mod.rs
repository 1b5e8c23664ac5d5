//! Tests of whole regions.
