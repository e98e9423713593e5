//! Listeners, configuration, reload and drain: where Vestibule is put together
