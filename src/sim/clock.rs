//! Virtual time and the tasks that live in it: nothing here sleeps, and what is ready runs in an order that the seed
//! draws.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::time::{Span, Timestamp};

/// A clock that moves only when it is told to, and who waits for it.
pub struct Clock {
    now: Cell<Timestamp>,
    timers: RefCell<BTreeMap<(Timestamp, u64), Waker>>,
    next: Cell<u64>,
}

impl Clock {
    pub fn new(now: Timestamp) -> Rc<Self> {
        Rc::new(Self { now: Cell::new(now), timers: RefCell::default(), next: Cell::new(0) })
    }

    pub fn now(&self) -> Timestamp {
        self.now.get()
    }

    /// When the next timer rings.
    pub fn next(&self) -> Option<Timestamp> {
        self.timers.borrow().keys().next().map(|(at, _)| *at)
    }

    /// Moves on to this moment, and wakes whoever waited for it.
    pub fn move_to(&self, moment: Timestamp) {
        self.now.set(moment.max(self.now.get()));
        loop {
            let first = self.timers.borrow().keys().next().copied();
            let Some(key) = first.filter(|(at, _)| *at <= moment) else { return };
            let waker = self.timers.borrow_mut().remove(&key);
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// Waits until this moment, and at least until all others had their turn.
    pub fn until(self: &Rc<Self>, at: Timestamp) -> Sleep {
        Sleep { clock: self.clone(), at, timer: None, polled: false }
    }

    pub fn sleep(self: &Rc<Self>, span: Span) -> Sleep {
        self.until(self.now() + span)
    }
}

pub struct Sleep {
    clock: Rc<Clock>,
    at: Timestamp,
    timer: Option<u64>,
    polled: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.at <= self.clock.now() {
            if std::mem::replace(&mut self.polled, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.polled = true;
        let number = self.timer.unwrap_or_else(|| self.clock.next.replace(self.clock.next.get() + 1));
        self.timer = Some(number);
        self.clock.timers.borrow_mut().insert((self.at, number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.timer {
            self.clock.timers.borrow_mut().remove(&(self.at, number));
        }
    }
}

/// Something to raise once and to wait for.
#[derive(Default)]
pub struct Signal {
    raised: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
}

impl Signal {
    pub fn raise(&self) {
        self.raised.set(true);
        self.wakers.take().into_iter().for_each(Waker::wake);
    }

    /// Whether it is raised before the sleep is over.
    pub async fn raised(&self, sleep: Sleep) -> bool {
        let mut sleep = std::pin::pin!(sleep);
        std::future::poll_fn(|context| {
            if self.raised.get() {
                return Poll::Ready(true);
            }
            self.wakers.borrow_mut().push(context.waker().clone());
            sleep.as_mut().poll(context).map(|()| false)
        })
        .await
    }
}

type Ready = Arc<Mutex<Vec<u64>>>;

struct TaskWaker {
    id: u64,
    ready: Ready,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap().push(self.id);
    }
}

struct Task {
    /// The isolate that it dies with.
    isolate: u64,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

/// All tasks of all isolates.
#[derive(Default)]
pub struct Tasks {
    tasks: RefCell<BTreeMap<u64, Task>>,
    ready: Ready,
    next: Cell<u64>,
}

impl Tasks {
    /// Polls a task once, as the platform does, and keeps it where it is not ready.
    pub fn spawn(&self, isolate: u64, future: impl Future<Output = ()> + 'static) {
        let id = self.next.replace(self.next.get() + 1);
        self.poll(id, Task { isolate, future: Box::pin(future) });
    }

    fn poll(&self, id: u64, mut task: Task) {
        let waker = Waker::from(Arc::new(TaskWaker { id, ready: self.ready.clone() }));
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.tasks.borrow_mut().insert(id, task);
        }
    }

    /// Runs what is ready until nothing is; the clock stands still.
    pub fn run(&self, rng: &RefCell<fastrand::Rng>) {
        loop {
            let id = {
                let mut ready = self.ready.lock().unwrap();
                if ready.is_empty() {
                    return;
                }
                let at = rng.borrow_mut().usize(..ready.len());
                ready.swap_remove(at)
            };
            let task = self.tasks.borrow_mut().remove(&id);
            if let Some(task) = task {
                self.poll(id, task);
            }
        }
    }

    /// The isolate is gone, with all that it was doing.
    pub fn lose(&self, isolate: u64) {
        self.drop_those(|task| task.isolate == isolate);
    }

    pub fn lose_all(&self) {
        self.drop_those(|_| true);
    }

    fn drop_those(&self, mut which: impl FnMut(&Task) -> bool) {
        let mut tasks = self.tasks.take();
        let gone: Vec<Task> = tasks.extract_if(.., |_, task| which(task)).map(|(_, task)| task).collect();
        *self.tasks.borrow_mut() = tasks;
        drop(gone);
    }
}
