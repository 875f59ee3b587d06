import { execFile } from 'node:child_process';
import { getPriority } from 'node:os';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';

const preloaded = `data:text/javascript,${encodeURIComponent(
  `import { getPriority } from 'node:os'; process.on('exit', () => console.log('priority', getPriority()));`,
)}`;

/** The priority with which a command ends. What the command itself says does not matter. */
async function priorityOf(words: readonly string[]): Promise<number> {
  const ended = promisify(execFile)(process.execPath, ['--import', preloaded, 'src/main.ts', ...words]);
  const { stdout } = await ended.catch((error: { readonly stdout: string }) => error);
  return Number(/^priority (-?\d+)$/m.exec(stdout)?.[1]);
}

(process.platform === 'linux' ? describe : describe.skip)('a command that reads what a server writes', () => {
  it.each(['ledger verify', 'ledger export', 'ledger evidence', 'backup'])(
    '`remit %s` has a low priority',
    async (name) => {
      expect(await priorityOf(name.split(' '))).toBe(Math.max(getPriority(), 10));
    },
  );

  it('leaves other commands as they are', async () => {
    expect(await priorityOf(['ledger', 'query'])).toBe(getPriority());
  });
});
