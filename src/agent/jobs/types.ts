// What a job is to the parts of the agent that start it, carry it to another node and show it. A job is what one `mosrun` started: its processes, in pid,
// mount, ipc, uts and time namespaces of their own, the deputy on its home node, and the streams between them.
import type { Duplex, Readable, Writable } from 'node:stream';

/** `HOME-PID-START`: the home's id, the deputy's pid there and its start: clock ticks after boot (proc_pid_stat(5)), then six digits of the boot. Never used twice. */
export type JobId = string;

export interface Window {
  readonly columns: number;
  readonly rows: number;
}

/** A limit as /proc/PID/limits has it; `undefined`: unlimited. */
export interface Limit {
  /** As prlimit(1) calls it: nofile, stack, ... */
  readonly resource: string;
  readonly soft: number | undefined;
  readonly hard: number | undefined;
}

/** How a job's output reaches its deputy: a terminal of its own, stdout and stderr in one pipe, or two. */
export type StreamKind = 'terminal' | 'merged' | 'separate';

/** What is to be run. The same for a job's whole life, on every node. Taken from /proc of the deputy, so that nobody can claim to be somebody else. */
export interface JobSpec {
  readonly id: JobId;
  readonly home: number;
  /** Of the home node: what the job sees as its own. */
  readonly hostname: string;
  /** The deputy's pid on the home node: the job's pid for its user. */
  readonly deputy: number;
  /** The program to look for in PATH, or its path, and its arguments. */
  readonly args: readonly string[];
  /** mosrun -z: its argv[0], where that is another word. */
  readonly name: string | undefined;
  /** `NAME=value`. */
  readonly environment: readonly string[];
  readonly directory: string;
  readonly umask: number;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly niceness: number;
  readonly limits: readonly Limit[];
  readonly streams: StreamKind;
  /** At the start, for a terminal. */
  readonly window: Window | undefined;
  /** Mounts of the home node below its root that the job sees, absolute, parents first: `/tmp`, `/home`. */
  readonly mounts: readonly string[];
  /** The image that its home has booted, `/NAME/VERSION`; empty where that is not known. */
  readonly image: string;
  /** How often it was made again from a checkpoint; absent: never. A copy of an earlier life is not the job any more. */
  readonly life?: number;
  /** The id that it had first, if it has another home by now: its checkpoints are kept under it. */
  readonly origin?: JobId;
}

/** How it ended: a status, 0 to 255 (128 and the signal's number for one that was killed), and what it has used, ms. */
export interface Ended {
  readonly status: number;
  readonly cpuTime: number;
}

export interface Usage {
  /** Ms of processor time on this node since it came here. */
  readonly cpuTime: number;
  /** Bytes that a move has to carry. */
  readonly memory: number;
  readonly processes: number;
}

/** Why a job cannot move, and what its user can do about it. `code` as `cantmove` shows it: socket, device, mlock, realtime, local-file... */
export interface Obstacle {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

/** A job that runs on this node. */
export interface RunningJob {
  readonly spec: JobSpec;
  /** Of the first process of the job, in this node's pid namespace. */
  readonly pid: number;
  /** Its standard input; `end()` is end of file. */
  readonly input: Writable;
  readonly output: Readable;
  /** Only with `separate`. */
  readonly errors: Readable | undefined;
  /** Settles once all its processes are gone and all that they wrote has been read; never rejects. Not settled by a move. */
  readonly ended: Promise<Ended>;
  /** To the processes of the job; the names of signal(7): 'SIGINT'. */
  signal(name: NodeJS.Signals): Promise<void>;
  resize(window: Window): Promise<void>;
  usage(): Promise<Usage>;
  obstacles(): Promise<readonly Obstacle[]>;
  /**
   * One round of pre-copy, while it runs on: pages go to the page server behind 127.0.0.1:`port`. Gives the number of bytes sent. If it throws, this move is
   * over (ArrivingJob.drop): the target lacks pages. The job runs on.
   */
  copy(port: number): Promise<number>;
  /** Freezes it and dumps the rest to the page server. What it had written is in `output` and `errors` by then. Throws FarmError `job.immovable`, and the job runs on. */
  freeze(port: number): Promise<FrozenJob>;
  /** A copy on disk in `directory`, from which `restart` can make it again; it runs on. `standing` is called while it stands, once all that it has written is out. */
  checkpoint(directory: string, standing?: () => void): Promise<void>;
}

/** A job that stands still here while another node gets it ready. `thaw` or `discard` is called, once. */
export interface FrozenJob {
  /** The images without the pages, and what restore needs to know: opaque, for `ArrivingJob.restore`. Some 100 kB. */
  readonly images: Buffer;
  /** What it had not read of its input: the target writes it first. */
  readonly unread: Buffer;
  /** From now on `node` may run it. Written down: an agent after this one thaws it only if `node` has nothing of it. */
  give(node: number): Promise<void>;
  /** The move failed: it runs on here, unread input is in its pipe again. */
  thaw(): Promise<void>;
  /** It runs elsewhere: the copy here goes, without a trace for the job. */
  discard(): Promise<void>;
}

/** A job on its way to this node. */
export interface ArrivingJob {
  /** A page server for the next round, on a port of 127.0.0.1. Takes one connection. */
  listen(): Promise<number>;
  /** All is here: it stands, frozen. Throws FarmError `job.unrestorable`; nothing is left then. */
  restore(images: Buffer, unread: Buffer): Promise<void>;
  /** It runs. */
  run(): Promise<RunningJob>;
  /** It does not come. Also after `restore`. */
  drop(): Promise<void>;
}

/** Starts, freezes and restores jobs on this node. Knows nothing of the network. */
export interface JobEngine {
  start(spec: JobSpec): Promise<RunningJob>;
  receive(spec: JobSpec): Promise<ArrivingJob>;
  /** From a directory that `checkpoint` filled; it begins to run. */
  restart(spec: JobSpec, directory: string): Promise<RunningJob>;
}

/** Where the files of `home` are on this node, to be a job's root: `/` for this node itself. Mounts them where it has to. */
export type RootOf = (home: number) => Promise<string>;

/** Authenticated, encrypted streams between agents. Both sides know with certainty which node the other is. */
export interface Link {
  readonly self: number;
  /** A stream to `node` (also to this one) for `purpose`, after `header` was sent, JSON of at most 1 MiB. Throws FarmError `link.down`, `link.refused`. */
  open(node: number, purpose: string, header: unknown): Promise<Duplex>;
  /** Who takes streams of this purpose. */
  serve(purpose: string, handler: (from: number, header: unknown, stream: Duplex) => void): void;
  /** One question, one answer (JSON, at most 1 MiB). The answer's error is thrown here as FarmError with its code. */
  call(node: number, name: string, body: unknown): Promise<unknown>;
  answer(name: string, handler: (from: number, body: unknown) => Promise<unknown>): void;
}

/** How far the streams of a job are, in bytes since it began; goes with it when it moves. */
export interface StreamPositions {
  readonly input: number;
  readonly inputEnded: boolean;
  readonly output: number;
  readonly errors: number;
  /** Of the lines that say what is done to the job and what becomes of it; 0 if absent. */
  readonly control?: number;
  readonly events?: number;
}

/** The streams of a job between the node where it runs and its home. */
export interface Attached {
  /** For a checkpoint: nothing more is handed to the job until `unpause`. */
  pause(): void;
  /** While it stands, and is paused: where its streams are. */
  standing(): StreamPositions;
  unpause(): void;
  /** Settles when the home has all up to there. Throws FarmError `job.streams`. */
  delivered(to: StreamPositions): Promise<void>;
  /** For a move, after `freeze`: all that was written has reached the home; where the streams are. Nothing is read from the home until `resume`. */
  detach(): Promise<StreamPositions>;
  /** The move failed. */
  resume(): void;
  /** It runs elsewhere. */
  release(): void;
}

/** Connects a job that runs here with its deputy. `from`: undefined when it begins. */
export type Attach = (job: RunningJob, from: StreamPositions | undefined) => Attached;
