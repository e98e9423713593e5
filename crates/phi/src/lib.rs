//! Classes of PHI, the data map, transforms and mask plans. Pure
