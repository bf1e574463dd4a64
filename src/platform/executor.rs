//! Futures on the JavaScript event loop, one table of tasks and one of operations.
//!
//! `wasm-bindgen-futures` polls from a microtask of its own, where a trap can't be told from any other error. Here
//! every poll happens inside a call that the guard in `guard.mjs` made, so that no trap goes unnoticed; and a
//! task is polled once before anybody makes a Promise of it.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use wasm_bindgen::JsValue;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// What an operation of the platform came to: a text, a handle, or both.
#[derive(Debug, Default)]
pub struct Settled {
    /// A packed head, or another text.
    pub text: Option<String>,
    /// A body's handle; undefined where there is none.
    pub handle: JsValue,
}

enum Slot {
    Waiting(Option<Waker>),
    Settled(Result<Settled, String>),
}

#[derive(Default)]
struct Tables {
    next: u32,
    tasks: Vec<(u32, Task)>,
    ready: Vec<u32>,
    operations: Vec<(u32, Slot)>,
}

impl Tables {
    fn id(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next
    }
}

/// Lists and not maps: what is under way at once in one isolate are tens.
fn take<T>(list: &mut Vec<(u32, T)>, id: u32) -> Option<T> {
    let at = list.iter().position(|(known, _)| *known == id)?;
    Some(list.swap_remove(at).1)
}

thread_local! {
    static TABLES: RefCell<Tables> = RefCell::default();
}

fn with<R>(step: impl FnOnce(&mut Tables) -> R) -> R {
    TABLES.with(|tables| step(&mut tables.borrow_mut()))
}

struct TaskWaker(u32);

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        with(|tables| tables.ready.push(self.0));
    }
}

/// Polls `future` once, and keeps it where it is not ready.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    let id = with(Tables::id);
    poll(id, Box::pin(future));
}

fn poll(id: u32, mut task: Task) {
    let waker = Waker::from(Arc::new(TaskWaker(id)));
    if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        with(|tables| tables.tasks.push((id, task)));
    }
}

/// Polls every task that was woken, until none is left. Called at the end of each call into the wasm.
pub fn run() {
    while let Some(id) = with(|tables| tables.ready.pop()) {
        if let Some(task) = with(|tables| take(&mut tables.tasks, id)) {
            poll(id, task);
        }
    }
}

/// An operation of the platform under way. Dropped early, its outcome is ignored.
#[derive(Debug)]
pub struct Operation(u32);

impl Operation {
    /// Has `begin` start an operation under the number that it is given.
    pub fn new(begin: impl FnOnce(u32)) -> Self {
        let id = with(|tables| {
            let id = tables.id();
            tables.operations.push((id, Slot::Waiting(None)));
            id
        });
        begin(id);
        Self(id)
    }

    /// The number that it was begun under.
    pub fn id(&self) -> u32 {
        self.0
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        drop(with(|tables| take(&mut tables.operations, self.0)));
    }
}

impl Future for Operation {
    type Output = Result<Settled, String>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        with(|tables| match take(&mut tables.operations, self.0) {
            Some(Slot::Settled(outcome)) => Poll::Ready(outcome),
            _ => {
                tables.operations.push((self.0, Slot::Waiting(Some(context.waker().clone()))));
                Poll::Pending
            }
        })
    }
}

/// Ends an operation, and goes on with whoever waited for it.
pub fn settle(operation: u32, outcome: Result<Settled, String>) {
    let waker = with(|tables| {
        let (_, slot) = tables.operations.iter_mut().find(|(id, _)| *id == operation)?;
        match std::mem::replace(slot, Slot::Settled(outcome)) {
            Slot::Waiting(waker) => waker,
            Slot::Settled(_) => None,
        }
    });
    if let Some(waker) = waker {
        waker.wake();
    }
    run();
}
