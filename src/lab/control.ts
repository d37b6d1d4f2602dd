// What a running lab can be asked, over the unix socket in its directory: one JSON line there, one JSON line back.
import { connect } from 'node:net';
import * as z from 'zod';
import { FarmError, systemCode } from '../base/errors.ts';
import { lineSplitter } from './lines.ts';

export const requestSchema = z.discriminatedUnion('do', [
  z.object({ do: z.literal('status') }),
  z.object({ do: z.literal('power'), machine: z.string(), action: z.enum(['on', 'off', 'reset', 'shutdown']) }),
  z.object({ do: z.literal('kill-serve'), signal: z.enum(['SIGTERM', 'SIGKILL', 'SIGINT', 'SIGHUP', 'SIGSTOP', 'SIGCONT']) }),
  z.object({ do: z.literal('restart-serve') }),
  z.object({ do: z.literal('down') }),
]);

const statusSchema = z.object({
  phase: z.enum(['starting', 'up', 'ending']),
  interface: z.string(),
  address: z.string(),
  serve: z.object({
    state: z.enum(['starting', 'ready', 'ended']),
    /** Milliseconds since the epoch, of the last change. */
    since: z.number(),
    log: z.string(),
    /** Exit status or signal, once ended. */
    ended: z.string().optional(),
  }),
  machines: z.array(
    z.object({
      name: z.string(),
      mac: z.string(),
      state: z.enum(['running', 'stopped']),
      /** Milliseconds since the epoch, of the last change. */
      since: z.number(),
      /** File with all that the serial console printed. */
      log: z.string(),
      serial: z.string(),
      monitor: z.string(),
      /** Why QEMU ended, where that was not asked for. */
      ended: z.string().optional(),
    }),
  ),
});

const replySchema = z.union([
  z.object({ ok: z.literal(true), status: statusSchema }),
  z.object({ ok: z.literal(false), code: z.string(), message: z.string(), hint: z.string().optional() }),
]);

export type Request = z.infer<typeof requestSchema>;
export type PowerAction = Extract<Request, { do: 'power' }>['action'];
export type ServeSignal = Extract<Request, { do: 'kill-serve' }>['signal'];
export type LabStatus = z.infer<typeof statusSchema>;
export type MachineStatus = LabStatus['machines'][number];
export type Reply = z.infer<typeof replySchema>;

/** No request is longer; what is, is not from here. */
export const longestRequest = 4096;

/** Asks the lab behind `socket` and gives its state after it did so. Throws `FarmError`: `lab.gone` if none listens, or the lab's own refusal. */
export function ask(socket: string, request: Request): Promise<LabStatus> {
  return new Promise((resolve, reject) => {
    const gone = (cause?: unknown) => reject(new FarmError('lab.gone', 'no lab answers here', 'start one with: farm lab up', cause));
    const connection = connect(socket);
    connection.on('error', (error) => {
      if (['ENOENT', 'ECONNREFUSED', 'EPIPE', 'ECONNRESET', 'ENOTDIR'].includes(systemCode(error) ?? '')) gone(error);
      else reject(new FarmError('lab.control', `the lab cannot be reached: ${error.message}`, 'it may belong to another user', error));
    });
    connection.on('close', () => gone());
    const receive = (line: string) => {
      connection.end();
      try {
        const reply = replySchema.parse(JSON.parse(line));
        if (reply.ok) resolve(reply.status);
        else reject(new FarmError(reply.code, reply.message, reply.hint));
      } catch (error) {
        reject(new FarmError('lab.control', 'the lab answered something this version does not understand', 'end it with the farm that started it', error));
      }
    };
    connection.on('data', lineSplitter(receive));
    connection.write(`${JSON.stringify(request)}\n`);
  });
}
