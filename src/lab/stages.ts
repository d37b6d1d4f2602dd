// How far each machine of a booting farm is, for a terminal: one line a machine, drawn over; elsewhere one line a change.
import type { Clock } from '../base/clock.ts';

/** What a boot goes through, in order; `up` is its end. */
export const stages = ['DHCP', 'loader', 'kernel', 'root', 'agent', 'up'] as const;
type Stage = (typeof stages)[number];

export interface MachineStage {
  readonly name: string;
  /** What it does now. */
  readonly stage: Stage;
  /** When it was switched on, in milliseconds since the epoch. */
  readonly since: number;
  /** When it was up; its seconds stand still from then on. */
  readonly until?: number | undefined;
  /** Whatever says more, e.g. a file's name; may come from a remote. */
  readonly detail: string;
  /** Part of this stage that is done, 0 to 1. */
  readonly progress?: number | undefined;
}

const barCells = 18;
const nameCells = 16;
const stageCells = Math.max(...stages.map((stage) => stage.length));

/** Control characters, which could move the cursor, become spaces. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ').trim();
}

function cut(text: string, width: number): string {
  const characters = Array.from(text);
  return characters.length <= width ? text : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`;
}

function bar(machine: MachineStage): string {
  const within = Math.min(1, Math.max(0, machine.progress ?? 0));
  const done = (stages.indexOf(machine.stage) + (machine.stage === 'up' ? 0 : within)) / (stages.length - 1);
  const full = Math.floor(done * barCells);
  return '█'.repeat(full) + '░'.repeat(barCells - full); // in code page 437, so on every text console too
}

function elapsed(machine: MachineStage, now: number): string {
  return `${Math.max(0, Math.floor(((machine.until ?? now) - machine.since) / 1000))} s`;
}

/**
 * The lines to show at `now`, each `width` characters at most and `rows` of them at most; machines that are up make room first, and a last
 * line counts those left out.
 */
export function renderStages(machines: readonly MachineStage[], now: number, width: number, rows = Number.POSITIVE_INFINITY): string[] {
  const names = Math.min(nameCells, Math.max(0, ...machines.map((machine) => plain(machine.name).length)));
  const fits = machines.length <= rows;
  const busy = machines.filter((machine) => machine.stage !== 'up');
  const shown = fits ? machines : busy.slice(0, Math.max(0, rows - 1));
  const lines = shown.map((machine) => {
    const name = cut(plain(machine.name), names).padEnd(names);
    const text = `${name}  ${bar(machine)}  ${machine.stage.padEnd(stageCells)} ${elapsed(machine, now).padStart(6)}  ${plain(machine.detail)}`;
    return cut(text.trimEnd(), width);
  });
  if (!fits) {
    const up = machines.length - busy.length;
    lines.push(cut(`${up} of ${machines.length} up${busy.length > shown.length ? `, ${busy.length - shown.length} more on their way` : ''}`, width));
  }
  return lines;
}

/** One line for a log: no bar, nothing that changes by itself but the seconds. */
function changeLine(machine: MachineStage, now: number): string {
  return `${plain(machine.name)}: ${machine.stage}, ${elapsed(machine, now)}${machine.detail === '' ? '' : `, ${plain(machine.detail)}`}`;
}

/** The part of a terminal's stream that is used here. */
export interface StageOutput {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  write(text: string): unknown;
}

export interface StageView {
  /** Shows the machines as they are now. */
  update(machines: readonly MachineStage[]): void;
  /** Prints a line that stays, above the machines. */
  note(line: string): void;
  /** Leaves the last state on the screen and stops counting seconds. */
  close(): void;
}

const secondMilliseconds = 1000;

/** Draws on `out`: in place where it is a terminal, one line for each change of a machine's stage or detail where it is not (logs of CI). */
export function openStages(out: StageOutput, clock: Clock): StageView {
  return out.isTTY === true ? liveView(out, clock) : logView(out, clock);
}

function liveView(out: StageOutput, clock: Clock): StageView {
  let machines: readonly MachineStage[] = [];
  let drawn = 0;
  const draw = (above = '') => {
    // A line in the last column would wrap, and one row too many would scroll: both spoil the way back up.
    const lines = renderStages(machines, clock.now(), (out.columns ?? 80) - 1, (out.rows ?? 24) - 1);
    const back = drawn === 0 ? '' : `\x1b[${drawn}A`;
    out.write(`${back}\x1b[0J${above}${lines.map((line) => `${line}\n`).join('')}`);
    drawn = lines.length;
  };
  const timer = setInterval(draw, secondMilliseconds, '');
  timer.unref();
  return {
    update(now) {
      machines = now;
      draw();
    },
    note: (line) => draw(`${plain(line)}\n`),
    close: () => {
      clearInterval(timer);
      draw();
    },
  };
}

function logView(out: StageOutput, clock: Clock): StageView {
  const said = new Map<string, string>();
  return {
    update(machines) {
      for (const machine of machines) {
        const state = `${machine.stage}\0${machine.detail}`;
        if (said.get(machine.name) === state) continue;
        said.set(machine.name, state);
        out.write(`${changeLine(machine, clock.now())}\n`);
      }
    },
    note: (line) => out.write(`${plain(line)}\n`),
    close: () => {},
  };
}
