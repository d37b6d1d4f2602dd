// Boot actions: the rules as a table and as properties, and the journal across restarts, crashes and commands that come twice.
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { FarmError } from '../../src/base/errors.ts';
import { type Log, silentLog } from '../../src/base/log.ts';
import { startHttpServer } from '../../src/boot/http.ts';
import { giveCommand, listActions } from '../../src/farm/action-orders.ts';
import { type ActionCommand, appendCommand, BootActions, parseActionCommand, readActions } from '../../src/farm/action-store.ts';
import { type ActionEvent, actionNow, afterEvent, attemptSilence, nothingOrdered, type OrderedActions } from '../../src/farm/actions.ts';

const once = (action: 'local' | 'shell' | 'memtest' | 'default'): ActionEvent => ({ kind: 'order', order: { action, once: true } });
const always = (action: 'local' | 'shell' | 'memtest' | 'default'): ActionEvent => ({ kind: 'order', order: { action, once: false } });
const menu: ActionEvent = { kind: 'menu' };
const began: ActionEvent = { kind: 'began' };
const running: ActionEvent = { kind: 'running' };

/** Runs events a second apart; what each menu said, and what is ordered at the end. */
function play(events: readonly ActionEvent[], step = 1000): { menus: (string | undefined)[]; ordered: OrderedActions } {
  let ordered = nothingOrdered;
  const menus: (string | undefined)[] = [];
  let now = 1_000_000;
  for (const event of events) {
    now += step;
    ordered = afterEvent(ordered, event, now);
    if (event.kind === 'menu') menus.push(actionNow(ordered, now));
  }
  return { menus, ordered };
}

describe('what a boot does', () => {
  const table: readonly [string, readonly ActionEvent[], readonly (string | undefined)[]][] = [
    ['is the profile’s business if nothing is ordered', [began, menu, running], [undefined]],
    ['is a standing action at every boot', [always('local'), began, menu, began, menu], ['local', 'local']],
    ['is a one-shot action once', [once('shell'), began, menu, began, menu], ['shell', undefined]],
    ['is the same however often one attempt fetches its menu', [once('shell'), began, menu, menu, menu, began, menu], ['shell', 'shell', 'shell', undefined]],
    ['waits for a menu: a ROM that asks again and again uses nothing up', [once('shell'), began, began, began, menu], ['shell']],
    ['is used up by power that fails after the menu', [once('memtest'), began, menu, began, menu], ['memtest', undefined]],
    ['has taken effect when the booted system reports', [once('shell'), menu, running, menu], ['shell', undefined]],
    ['is the standing action again after the one-shot', [always('local'), once('default'), menu, began, menu], ['default', 'local']],
    ['changes with a new one-shot action before the menu', [once('shell'), once('memtest'), menu], ['memtest']],
    [
      'keeps a one-shot action ordered while another is under way for the boot after',
      [once('shell'), menu, once('memtest'), menu, began, menu],
      ['shell', 'shell', 'memtest'],
    ],
    ['is taken back by default', [always('local'), once('shell'), always('default'), menu], [undefined]],
    ['is taken back by default even after the menu', [once('shell'), menu, always('default'), menu], ['shell', undefined]],
  ];
  it.each(table)('%s', (_, events, menus) => {
    expect(play(events).menus).toEqual(menus);
  });

  it('is another attempt when the last menu is long ago, though no ROM was heard', () => {
    const { ordered } = play([once('shell'), menu]);
    const at = ordered.attempt?.seen ?? 0;
    expect(actionNow(ordered, at + attemptSilence)).toBe('shell');
    expect(actionNow(ordered, at + attemptSilence + 1)).toBeUndefined();
    expect(afterEvent(ordered, menu, at + attemptSilence + 1)).toEqual({});
  });

  it('goes on in the same attempt when the clock steps back', () => {
    const { ordered } = play([once('shell'), menu]);
    expect(actionNow(ordered, 5)).toBe('shell');
  });
});

const anyEvent = fc.constantFrom<ActionEvent>(menu, menu, began, running, once('shell'), once('memtest'), always('local'), always('default'));

describe('one-shot actions, whatever happens in whatever order', () => {
  it('are given to one attempt each at most, and to exactly one if an attempt follows', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 40 }), (events) => {
        let ordered = nothingOrdered;
        let armed = 0; // one-shot orders that replaced nothing
        let given = 0; // attempts that began with one
        let dropped = 0;
        events.forEach((event, index) => {
          const before = ordered;
          ordered = afterEvent(ordered, event, index);
          if (event.kind === 'order' && event.order.once && before.once === undefined) armed += 1;
          if (event.kind === 'order' && !event.order.once && event.order.action === 'default' && before.once !== undefined) dropped += 1;
          if (event.kind === 'menu' && before.attempt === undefined && ordered.attempt !== undefined) given += 1;
          if (event.kind === 'menu' && before.attempt === undefined) expect(ordered.once).toBeUndefined();
        });
        expect(given + dropped + (ordered.once === undefined ? 0 : 1)).toBe(armed);
      }),
    );
  });

  it('are the same in every menu of an attempt', () => {
    fc.assert(
      fc.property(
        fc.array(anyEvent, { maxLength: 20 }),
        fc.array(fc.constantFrom(menu, once('memtest'), always('local')), { maxLength: 10 }),
        (past, within) => {
          const first = afterEvent(play(past).ordered, once('shell'), 0);
          const taken = afterEvent(afterEvent(first, began, 0), menu, 0);
          let ordered = taken;
          for (const event of within) {
            ordered = afterEvent(ordered, event, 1);
            expect(actionNow(ordered, 1)).toBe('shell');
          }
        },
      ),
    );
  });
});

let farm: string;
beforeEach(() => {
  farm = mkdtempSync(join(tmpdir(), 'farm-actions-'));
  mkdirSync(join(farm, 'state'));
});
afterEach(() => rmSync(farm, { recursive: true }));

const command = (id: string, action: ActionCommand['action'], once: boolean, nodes: string[] = ['n1']): ActionCommand => ({ id, nodes, action, once });

/** Orders a shell once; how many attempts got it. Every menu of an attempt that has it must say it again. */
async function countAttempts(events: readonly string[]): Promise<number> {
  let actions = new BootActions(farm, silentLog);
  const shell = command('one', 'shell', true);
  await actions.take(shell, 0);
  let attempts = 0;
  let underWay = false;
  let now = 1000;
  const note = (event: 'began' | 'running'): void => {
    actions.note('n1', event, now);
    underWay = false;
  };
  const handlers: Readonly<Record<string, () => Promise<void> | void>> = {
    menu: async () => {
      const action = await actions.menu('n1', now);
      if (underWay) expect(action).toBe('shell');
      else if (action === 'shell') attempts += 1;
      underWay = action === 'shell';
    },
    began: () => note('began'),
    running: () => note('running'),
    repeat: () => actions.take(shell, now),
    restart: async () => {
      await actions.close();
      actions = new BootActions(farm, silentLog);
    },
    crash: () => {
      actions = new BootActions(farm, silentLog);
    },
  };
  for (const event of events) {
    now += 1000;
    await handlers[event]?.();
  }
  await actions.close();
  return attempts;
}

describe('the journal of boot actions', () => {
  it('gives a one-shot action exactly once over any order of menus, restarts, crashes and boots', async () => {
    const steps = fc.array(fc.constantFrom('menu', 'began', 'restart', 'crash', 'running', 'repeat'), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(steps, async (events) => {
        rmSync(join(farm, 'state/actions'), { force: true });
        expect(await countAttempts([...events, 'began', 'menu', 'began', 'menu'])).toBe(1);
      }),
      { numRuns: 60 },
    );
  });

  it('has a command on disk before it is acknowledged, and a used-up action before it is handed out', async () => {
    const actions = new BootActions(farm, silentLog);
    await actions.take(command('one', 'shell', true, ['n1', 'n2']), 5);
    expect(readActions(farm)).toEqual(
      new Map([
        ['n1', { once: 'shell' }],
        ['n2', { once: 'shell' }],
      ]),
    );
    expect(await actions.menu('n1', 7)).toBe('shell');
    expect(readActions(farm).get('n1')).toEqual({ attempt: { action: 'shell', seen: 7 } });
    await actions.close();
  });

  it('writes nothing for nodes of which nothing is ordered', async () => {
    const actions = new BootActions(farm, silentLog);
    for (const node of ['n1', 'n2', 'n3']) {
      actions.note(node, 'began', 1);
      expect(await actions.menu(node, 2)).toBeUndefined();
      actions.note(node, 'running', 3);
    }
    expect(readFileSync(join(farm, 'state/actions'), 'utf8')).toBe('');
    await actions.close();
  });

  it('gives the standing action when the disk does not take the note, and says so', async () => {
    const said: string[] = [];
    const log: Log = (_level, event) => said.push(event);
    const actions = new BootActions(farm, log);
    await actions.take(command('one', 'local', false), 1);
    await actions.take(command('two', 'shell', true), 2);
    await actions.close(); // the descriptor is gone: every write fails
    expect(await actions.menu('n1', 3)).toBe('local');
    expect(said).toEqual(['action.unkept']);
    const next = new BootActions(farm, silentLog);
    expect(await next.menu('n1', 4)).toBe('shell');
    await next.close();
  });

  it('remembers over compaction which commands it has taken', async () => {
    const first = new BootActions(farm, silentLog);
    await first.take(command('one', 'shell', true), 1);
    await first.menu('n1', 2);
    first.note('n1', 'began', 3);
    await first.close();
    const second = new BootActions(farm, silentLog);
    await second.take(command('one', 'shell', true), 4);
    expect(second.current('n1', 5)).toBeUndefined();
    await second.close();
  });

  it('survives a torn last line', async () => {
    await appendCommand(farm, command('one', 'memtest', true), 1);
    appendFileSync(join(farm, 'state/actions'), '{"at":2,"comm');
    const actions = new BootActions(farm, silentLog);
    expect(actions.current('n1', 3)).toBe('memtest');
    await actions.close();
  });

  it.each(['', '{', '[]', '{"id":"x","nodes":[],"action":"shell","once":true}', '{"id":"x","nodes":["n1"],"action":"format","once":true}'])(
    'refuses the command %j',
    (body) => {
      expect(() => parseActionCommand(Buffer.from(body))).toThrow(FarmError);
    },
  );
});

describe('farm boot', () => {
  it('writes to the journal when no server runs', async () => {
    await giveCommand(farm, command('one', 'shell', true), 1);
    expect(await listActions(farm)).toEqual({ n1: { once: 'shell' } });
  });

  it('tells a server that runs, which knows it at once', async () => {
    const actions = new BootActions(farm, silentLog);
    const server = await startHttpServer({
      socketPath: join(farm, 'state/control.sock'),
      routes: async ({ method, body }) => {
        if (method === 'POST') await actions.take(parseActionCommand(body), 1);
        return { kind: 'json', value: Object.fromEntries(actions.all()) };
      },
      log: silentLog,
      clock: systemClock,
    });
    await giveCommand(farm, command('one', 'local', false, ['n1', 'n2']), 1);
    expect(actions.current('n2', 2)).toBe('local');
    expect(await listActions(farm)).toEqual({ n1: { standing: 'local' }, n2: { standing: 'local' } });
    await server.close();
    await actions.close();
  });

  it('reaches a server that opened the journal just before the command was written, and arms it once', async () => {
    const actions = new BootActions(farm, silentLog);
    await appendCommand(farm, command('one', 'shell', true), 1); // what giveCommand does when it finds no server …
    await actions.take(command('one', 'shell', true), 2); // … and what it does after that
    expect(await actions.menu('n1', 3)).toBe('shell');
    const next = new BootActions(farm, silentLog);
    next.note('n1', 'began', 4);
    expect(await next.menu('n1', 5)).toBeUndefined();
    await next.close();
  });
});
