// The door to the log. One event name per fact (`dhcp.offer`), fields instead of prose; docs/reference/events.md lists them.
import { pino } from 'pino';

export type Level = 'debug' | 'info' | 'warn' | 'error';
export type Fields = Readonly<Record<string, unknown>>;

/** Reports one fact. Services get this function and nothing else of the log. */
export type Log = (level: Level, event: string, fields?: Fields) => void;

export type LogFormat = 'pretty' | 'json';

export const silentLog: Log = () => {};

/** JSON lines for programs, by pino; aligned text for people. Both go to `out`, by default stdout. */
export function openLog(format: LogFormat, out: NodeJS.WritableStream = process.stdout, least: Level = 'info'): Log {
  if (format === 'json') {
    const logger = pino(
      { base: null, level: least, messageKey: 'event', timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
      out,
    );
    return (level, event, fields) => logger[level](fields ?? {}, event);
  }
  const order: readonly Level[] = ['debug', 'info', 'warn', 'error'];
  return (level, event, fields) => {
    if (order.indexOf(level) < order.indexOf(least)) return;
    const mark = level === 'info' || level === 'debug' ? '' : `${level.toUpperCase()} `;
    const time = new Date().toTimeString().slice(0, 8);
    const text = Object.entries(fields ?? {})
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key}=${printable(value)}`)
      .join(' ');
    out.write(`${time} ${mark}${event.padEnd(16)} ${text}`.trimEnd().concat('\n'));
  };
}

function printable(value: unknown): string {
  const plain = Array.isArray(value) && value.every((item) => typeof item === 'string') ? value.join(', ') : value;
  const text = typeof plain === 'string' ? plain : (JSON.stringify(plain) ?? String(plain));
  return text === '' || /[\s"=\p{Cc}]/u.test(text) ? JSON.stringify(text) : text;
}
