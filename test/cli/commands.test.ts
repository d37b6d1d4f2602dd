// Which commands are read for which arguments: too few would be an unknown command, too many only slow.
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { commandNames, commandsFor, wantedCommands } from '../../src/cli/commands.ts';

describe('the commands', () => {
  it('have the names by which they are read', async () => {
    const commands = await commandsFor(commandNames, (name) => new Command(`${name}-bare`));
    expect(commands.map((command) => command.name())).toEqual(commandNames);
  });

  it('are named only, in the same order, where one is enough', async () => {
    const commands = await commandsFor(['node'], (name) => new Command(name));
    expect(commands.map((command) => command.name())).toEqual(commandNames);
    expect(commands.filter((command) => command.description() !== '').map((command) => command.name())).toEqual(['node']);
  });

  it.each([
    ['node list', ['node']],
    ['-C /farm node list', ['node']],
    ['-C/farm node', ['node']],
    ['--directory /farm status --json', ['status']],
    ['--directory=/farm status', ['status']],
    ['completion words -- -C /farm image bu', ['completion', 'image']],
    ['completion bash', ['completion', '']],
    ['completion words -- n', ['completion', 'n']],
  ])('farm %s needs %j', (line, names) => {
    expect(wantedCommands(line.split(' '))).toEqual(names);
  });

  it.each(['', '--help', 'help node', 'nod list', '-C', 'man'])('farm %s needs all', (line) => {
    expect(wantedCommands(line.split(' ').filter((word) => word !== ''))).toEqual(commandNames);
  });
});
