//! The threads that compress, encrypt and write, so that no session's task waits for a disk.

use crate::chunk::Sealer;
use crate::error::RecordError;
use crate::job::Job;
use crate::lock;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

#[derive(Default)]
struct Queue {
    /// INVARIANT: at most one job a recorder, which is what bounds it.
    jobs: VecDeque<Job>,
    closing: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
}

/// A few threads over one queue. Dropped, it finishes what is queued.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    pub fn start(threads: usize) -> Result<Self, RecordError> {
        let mut pool = Self { shared: Arc::new(Shared::default()), threads: Vec::new() };
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&pool.shared);
            let mut sealer = Sealer::new()?;
            let thread = std::thread::Builder::new()
                .name(format!("record-{number}"))
                .spawn(move || {
                    while let Some(job) = next(&shared) {
                        job.run(&mut sealer);
                    }
                })
                .map_err(|error| RecordError::io("start a thread for", "recordings", error))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    pub fn submit(&self, job: Job) {
        lock(&self.shared.queue).jobs.push_back(job);
        self.shared.work.notify_one();
    }
}

fn next(shared: &Shared) -> Option<Job> {
    let mut queue = lock(&shared.queue);
    loop {
        if let Some(job) = queue.jobs.pop_front() {
            return Some(job);
        }
        if queue.closing {
            return None;
        }
        queue = shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.queue).closing = true;
        self.shared.work.notify_all();
        let here = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // The last recorder may be dropped by a task that one of these threads woke.
            if thread.thread().id() != here {
                let _ = thread.join();
            }
        }
    }
}
