// A job that comes to this node, or comes back from a checkpoint: rounds of pages, then its images, then it stands here, then it runs.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FarmError } from '../../base/errors.ts';
import {
  type Body,
  closeEnds,
  closeSides,
  type Ends,
  makeEnds,
  makePlace,
  namesOf,
  type Places,
  removePlace,
  type Sides,
  sidesOf,
  startHolder,
  writeRecord,
} from './body.ts';
import type { Cgroup } from './cgroup.ts';
import { type PageServer, restore, startPageServer } from './criu.ts';
import { unpackImages } from './images.ts';
import { type Job, type Passport, passportName, unreadName } from './running.ts';
import type { ArrivingJob, JobSpec } from './types.ts';

/** Makes it a running one. */
export type Adopt = (body: Body, sides: Sides) => Job;

export class Arrival implements ArrivingJob {
  private readonly places: Places;
  private readonly spec: JobSpec;
  private readonly directory: string;
  private readonly cgroup: Cgroup;
  private readonly adopt: Adopt;
  private readonly rounds: PageServer[] = [];
  /** Its pipes, open here until it is restored. */
  private ends: Promise<Ends> | undefined;
  private holder: number | undefined;
  private body: Body | undefined;
  private sides: Sides | undefined;
  private unread: Buffer = Buffer.alloc(0);

  private constructor(places: Places, spec: JobSpec, adopt: Adopt, place: { readonly directory: string; readonly cgroup: Cgroup }) {
    this.places = places;
    this.spec = spec;
    this.adopt = adopt;
    this.directory = place.directory;
    this.cgroup = place.cgroup;
  }

  static async begin(places: Places, spec: JobSpec, adopt: Adopt): Promise<Arrival> {
    const arrival = new Arrival(places, spec, adopt, await makePlace(places, spec.id));
    arrival.ends = arrival.prepare();
    arrival.ends.catch(() => {}); // told to who restores it
    return arrival;
  }

  /** What can be had before the job stands still: every process that is started then is time that its user waits. */
  private async prepare(): Promise<Ends> {
    const { places, spec, directory } = this;
    const ends = await makeEnds(spec);
    try {
      this.holder = await startHolder(places, directory, ends);
      this.sides = sidesOf(ends);
      await places.rootOf(spec.home);
      return ends;
    } catch (error) {
      closeEnds(ends);
      throw error;
    }
  }

  /** One that stood here when the agent before this one ended. */
  static async found(places: Places, body: Body, sides: Sides, adopt: Adopt): Promise<Arrival> {
    const arrival = new Arrival(places, body.spec, adopt, body);
    arrival.holder = body.holder;
    arrival.body = body;
    arrival.sides = sides;
    arrival.unread = await readFile(join(body.directory, unreadName));
    return arrival;
  }

  async listen(): Promise<number> {
    await this.roundsAreWhole();
    const round = this.rounds.length + 1;
    const directory = this.imageDirectory(round);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const server = await startPageServer(directory, round === 1 ? undefined : String(round - 1));
    this.rounds.push(server);
    return server.port;
  }

  async restore(images: Buffer, unread: Buffer): Promise<void> {
    try {
      await this.roundsAreWhole();
      if (this.rounds.length === 0) throw new FarmError('job.unrestorable', 'the images came without pages');
      const directory = this.imageDirectory(this.rounds.length);
      await Promise.all(unpackImages(images).map(({ name, content }) => writeFile(join(directory, name), content, { mode: 0o600 })));
      await this.stand(directory, unread, true);
      await rm(join(this.directory, 'rounds'), { recursive: true, force: true });
    } catch (error) {
      await this.drop();
      throw error;
    }
  }

  /** From files that stay: a checkpoint. */
  async restoreFrom(directory: string): Promise<void> {
    try {
      await this.stand(join(directory, 'images'), await readFile(join(directory, unreadName)), false);
    } catch (error) {
      await this.drop();
      throw error;
    }
  }

  private async stand(images: string, unread: Buffer, consume: boolean): Promise<void> {
    const { pipes, cpuTime } = JSON.parse(await readFile(join(images, passportName), 'utf8')) as Passport;
    const { places, spec, directory, cgroup } = this;
    const ends = await this.ends;
    const { holder } = this;
    if (ends === undefined || holder === undefined) throw new FarmError('job.unrestorable', `job ${spec.id} is not awaited here`, 'it can be restored once');
    this.ends = undefined;
    try {
      const given = { input: ends.input.reader, output: ends.output.writer, errors: ends.errors?.writer, status: ends.status.writer };
      const pid = await restore({ places, spec, directory, images, cgroup: cgroup.path, pipes, ends: given, consume });
      if (!(await cgroup.events()).frozen) await cgroup.freeze();
      this.body = { spec, directory, cgroup, pid, holder, pipes: namesOf(ends), cpuTime };
      this.unread = unread;
      await writeFile(join(directory, unreadName), unread);
      await writeRecord(this.body, 'arrived');
    } finally {
      closeEnds(ends);
    }
  }

  async run(): Promise<Job> {
    const { body, sides } = this;
    if (body === undefined || sides === undefined) throw new FarmError('job.unrestorable', `job ${this.spec.id} is not here`, 'restore it first');
    await writeRecord(body, 'running');
    this.sides = undefined;
    const job = this.adopt(body, sides);
    job.input.release(this.unread);
    await body.cgroup.thaw();
    return job;
  }

  async drop(): Promise<void> {
    await this.ends?.then(closeEnds, () => {});
    this.ends = undefined;
    if (this.sides !== undefined) closeSides(this.sides);
    this.sides = undefined;
    for (const server of this.rounds) server.stop();
    await removePlace(this.places, this.spec.id, this.holder);
  }

  private async roundsAreWhole(): Promise<void> {
    for (const { finished } of this.rounds) await finished;
  }

  private imageDirectory(round: number): string {
    return join(this.directory, 'rounds', String(round));
  }
}
