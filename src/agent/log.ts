// The agent's log: one line per fact on stderr, with sd-daemon(3) priorities under systemd. Not base/log.ts, whose pino would triple the bundle.
import type { Level, Log } from '../base/log.ts';

/** RFC 5424 6.2.1 severities, as journald reads them at the start of a line. */
const priorities: Readonly<Record<Level, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

/** `prefixed`: whether a journal reads the lines (systemd then sets JOURNAL_STREAM). */
export function openAgentLog(out: NodeJS.WritableStream, prefixed: boolean): Log {
  return (level, event, fields) => {
    if (level === 'debug') return;
    const words = Object.entries(fields ?? {}).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${printable(value)}`]));
    out.write(`${prefixed ? `<${priorities[level]}>` : ''}${[event, ...words].join(' ')}\n`);
  };
}

function printable(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text === '' || /[\s"=]/.test(text) ? JSON.stringify(text) : text;
}
