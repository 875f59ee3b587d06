import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { must } from '../../../builders/must.ts';
import { freePort } from '../../../free-port.ts';
import { until } from '../../../until.ts';
import { witnessKeyFrom, type WitnessKey } from '../../../../src/core/ledger/proof/note-key.ts';
import type { LitewitnessBinaries } from '../../../parts.ts';

/** A running litewitness, with an SSH agent that holds its key. */
export interface Litewitness {
  readonly url: string;
  readonly key: WitnessKey;
  /** Its verifier key as it prints it. */
  readonly keyText: string;
  /** Makes a log known to it, by the verifier key of the log. */
  readonly addLog: (verifierKey: string) => void;
  readonly stop: () => Promise<void>;
}

/** Starts it under a name. */
export async function startLitewitness(
  { litewitness, witnessctl }: LitewitnessBinaries,
  { folder, name }: { readonly folder: string; readonly name: string },
): Promise<Litewitness> {
  const [socket, key, db] = ['agent.sock', 'id_ed25519', 'witness.db'].map((file) => join(folder, file)) as [
    string,
    string,
    string,
  ];
  const port = await freePort();
  const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  await until(() => {
    try {
      execFileSync('ssh-add', ['-q', key], { env: { ...process.env, SSH_AUTH_SOCK: socket }, stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
  const [, fingerprint = ''] = execFileSync('ssh-keygen', ['-lf', `${key}.pub`], { encoding: 'utf8' }).split(' ');
  const args = ['-name', name, '-db', db, '-ssh-agent', socket, '-key', fingerprint, '-listen', `127.0.0.1:${port}`];
  const witness = spawn(litewitness, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  witness.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const keyText = await until(() => /vkey=(\S+)/.exec(said)?.[1]);
  const url = `http://127.0.0.1:${port}`;
  await until(() =>
    fetch(url)
      .then(({ ok }) => ok)
      .catch(() => false),
  );
  return {
    url,
    keyText,
    key: must(witnessKeyFrom(keyText)),
    addLog: (verifierKey) => {
      const [origin = ''] = verifierKey.split('+');
      execFileSync(witnessctl, ['add-log', '-db', db, '-origin', origin], { stdio: 'ignore' });
      execFileSync(witnessctl, ['add-key', '-db', db, '-origin', origin, '-key', verifierKey], { stdio: 'ignore' });
    },
    stop: async () => {
      await ended(witness);
      await ended(agent);
    },
  };
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
