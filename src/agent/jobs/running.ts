// A job that runs here: its streams, its end, its signals, and its departure in rounds of pages and a last dump.
import { readFileSync, watch } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { FarmError, systemCode } from '../../base/errors.ts';
import { run } from '../../base/processes.ts';
import { type Body, endProcess, type Places, removePlace, type Sides, writeRecord } from './body.ts';
import { dump } from './criu.ts';
import { parseDumpStatistics } from './criu-words.ts';
import { packImages } from './images.ts';
import { InputPipe, OutputPipe } from './pipes.ts';
import { type ProcessStat, parseMemory, parseProcessStat, recipients } from './processes.ts';
import { leadsSession } from './terminal.ts';
import type { Ended, FrozenJob, Obstacle, RunningJob, Usage, Window } from './types.ts';

const pageBytes = 4096;

/** What goes with the images: how they name the pipes, and what the job has used so far. */
export interface Passport {
  readonly pipes: Body['pipes'];
  readonly cpuTime: number;
}

export const passportName = 'passport.json';
export const unreadName = 'unread';

export class Job implements RunningJob {
  readonly spec: RunningJob['spec'];
  readonly pid: number;
  readonly input: InputPipe;
  readonly output: OutputPipe;
  readonly errors: OutputPipe | undefined;
  readonly ended: Promise<Ended>;
  private readonly places: Places;
  private readonly body: Body;
  /** Rounds of pre-copy that the next builds upon. */
  private rounds = 0;
  private away = false;
  private isRemoved = false;
  private readonly look: (body: Body) => Promise<readonly Obstacle[]>;

  constructor(places: Places, body: Body, sides: Sides, look: (body: Body) => Promise<readonly Obstacle[]>) {
    this.places = places;
    this.body = body;
    this.look = look;
    this.spec = body.spec;
    this.pid = body.pid;
    this.input = new InputPipe(sides.input, () => this.letGo('SIGUSR1'));
    this.output = new OutputPipe(sides.output, () => this.letGo('SIGUSR2'));
    this.errors = body.spec.streams === 'separate' ? new OutputPipe(sides.errors, () => this.letGo('SIGHUP')) : undefined;
    this.ended = new Promise((resolve, reject) => {
      this.whenEnded().then((ended) => ended !== undefined && resolve(ended), reject);
    });
  }

  /** Of one of its pipes, as the holder's script has them. */
  private letGo(signal: NodeJS.Signals): void {
    if (!this.isRemoved) endProcess(this.body.holder, signal);
  }

  /** The holder's number may have another owner after that. */
  private async remove(): Promise<void> {
    this.isRemoved = true;
    await removePlace(this.places, this.spec.id, this.body.holder);
  }

  async signal(name: NodeJS.Signals): Promise<void> {
    if (name === 'SIGKILL') return this.body.cgroup.kill();
    const { streams, args } = this.spec;
    for (const pid of recipients(name, await this.processes(), this.pid, streams === 'terminal', leadsSession(args))) endProcess(pid, name);
  }

  /** The kernel tells the program in the foreground. */
  async resize({ columns, rows }: Window): Promise<void> {
    if (this.spec.streams !== 'terminal') return;
    await run('stty', ['-F', `/proc/${this.pid}/root/dev/pts/0`, 'rows', String(rows), 'columns', String(columns)]);
  }

  async usage(): Promise<Usage> {
    const { pids: all, cpuTime } = this.body.cgroup.look();
    const pids = all.filter((pid) => pid !== this.pid);
    return { cpuTime, memory: pids.reduce((sum, pid) => sum + parseMemory(statusOf(pid)), 0), processes: pids.length };
  }

  async obstacles(): Promise<readonly Obstacle[]> {
    return this.look(this.body);
  }

  async copy(port: number): Promise<number> {
    const round = this.rounds + 1;
    const directory = await this.imageDirectory(round);
    try {
      await dump('pre-dump', this.body, { directory, previous: this.previous(), port });
    } catch (error) {
      await this.forgetRounds();
      throw error;
    }
    this.rounds = round;
    return this.sent(directory);
  }

  async freeze(port: number): Promise<FrozenJob> {
    return this.stand(async () => {
      const directory = await this.imageDirectory(this.rounds + 1);
      await dump('dump', this.body, { directory, previous: this.previous(), port });
      await writeFile(join(directory, passportName), JSON.stringify(await this.passport()));
      return packImages(await filesIn(directory));
    });
  }

  /** It stands, `save` makes the images, and what becomes of it is for the caller to say. If that fails it runs on. */
  private async stand(save: () => Promise<Buffer>): Promise<FrozenJob> {
    await this.body.cgroup.freeze();
    let unread = Buffer.alloc(0);
    try {
      this.output.drain();
      this.errors?.drain();
      unread = Buffer.from(await this.input.take());
      await writeFile(join(this.body.directory, unreadName), unread);
      await writeRecord(this.body, 'frozen');
      const images = await save();
      return this.frozen(images, unread);
    } catch (error) {
      await this.standDown(unread);
      throw error;
    }
  }

  private frozen(images: Buffer, unread: Buffer): FrozenJob {
    return { images, unread, give: (node) => writeRecord(this.body, 'given', node), thaw: () => this.standDown(unread), discard: () => this.leave() };
  }

  /** One that the agent before this one had frozen. Its images are gone with the move that it was for. */
  async stillFrozen(): Promise<FrozenJob> {
    this.output.drain();
    this.errors?.drain();
    await this.input.take();
    return this.frozen(Buffer.alloc(0), await readFile(join(this.body.directory, unreadName)));
  }

  /** One that the agent before this one was about to freeze, or was killed while criu looked at. */
  async ensureRunning(): Promise<void> {
    await this.forgetRounds();
    await this.body.cgroup.thaw();
  }

  /** It runs on, as if nothing had been. */
  private async standDown(unread: Buffer): Promise<void> {
    this.input.release(unread);
    await writeRecord(this.body, 'running');
    await this.body.cgroup.thaw();
    await this.forgetRounds();
  }

  private async leave(): Promise<void> {
    this.away = true;
    this.output.leave();
    this.errors?.leave();
    this.input.destroy();
    await this.remove();
  }

  async checkpoint(directory: string, onStanding: () => void = () => {}): Promise<void> {
    const images = join(directory, 'images');
    await mkdir(images, { recursive: true, mode: 0o700 });
    const standing = await this.stand(async () => {
      await dump('dump', this.body, { directory: images, previous: undefined, port: undefined });
      await writeFile(join(images, passportName), JSON.stringify(await this.passport()));
      return Buffer.alloc(0);
    });
    try {
      onStanding();
      await writeFile(join(directory, unreadName), standing.unread, { mode: 0o600 });
    } finally {
      await standing.thaw();
    }
  }

  private async passport(): Promise<Passport> {
    return { pipes: this.body.pipes, cpuTime: this.body.cpuTime + (await this.body.cgroup.cpuTime()) };
  }

  private previous(): string | undefined {
    return this.rounds === 0 ? undefined : String(this.rounds);
  }

  private get rounded(): string {
    return join(this.body.directory, 'rounds');
  }

  private async imageDirectory(round: number): Promise<string> {
    const directory = join(this.rounded, String(round));
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return directory;
  }

  private async forgetRounds(): Promise<void> {
    this.rounds = 0;
    await rm(this.rounded, { recursive: true, force: true });
  }

  private async sent(directory: string): Promise<number> {
    return parseDumpStatistics(await readFile(join(directory, 'stats-dump'))).pagesWritten * pageBytes;
  }

  private async processes(): Promise<readonly ProcessStat[]> {
    const texts = await Promise.all((await this.body.cgroup.pids()).map((pid) => textOf(`/proc/${pid}/stat`)));
    return texts.filter((text) => text !== '').map(parseProcessStat);
  }

  /** Undefined when it has gone elsewhere. */
  private async whenEnded(): Promise<Ended | undefined> {
    const status = await fileIn(this.body.directory, 'status', () => this.away);
    if (status === undefined) return undefined;
    await this.body.cgroup.empty();
    const cpuTime = this.body.cpuTime + (await this.body.cgroup.cpuTime());
    await this.remove();
    await Promise.all([this.output, ...(this.errors === undefined ? [] : [this.errors])].map((stream) => finished(stream).catch(() => {})));
    return { status: Number(status), cpuTime };
  }
}

/** A line in a file of a directory that somebody else will write; undefined when the directory is gone. */
async function fileIn(directory: string, name: string, given: () => boolean): Promise<string | undefined> {
  let changed = (): void => {};
  const watcher = watch(directory, () => changed());
  watcher.on('error', () => changed());
  try {
    for (;;) {
      const change = new Promise<void>((resolve) => {
        changed = resolve;
      });
      const text = await textOf(join(directory, name));
      if (given()) return undefined;
      if (text.endsWith('\n')) return text.trim();
      await change;
    }
  } finally {
    watcher.close();
  }
}

/** Empty for a process that has ended. Synchronously: proc_pid_status(5) waits for nobody, as maps or cmdline might. */
function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(systemCode(error) ?? '')) return '';
    throw error;
  }
}

/** Empty for a process or a file that is not there (any more). */
async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(systemCode(error) ?? '')) return '';
    throw error;
  }
}

/** criu's files of one directory, without its log. Pages went to the page server. */
async function filesIn(directory: string): Promise<readonly { readonly name: string; readonly content: Buffer }[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile() && entry.name !== 'criu.log').map(({ name }) => name);
  const files = await Promise.all(names.map(async (name) => ({ name, content: await readFile(join(directory, name)) })));
  if (!names.includes('inventory.img')) throw new FarmError('job.immovable', 'criu left no images', 'see the log of the agent');
  return files;
}
