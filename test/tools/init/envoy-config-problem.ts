import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs `envoy --mode validate` on `config`: null if it is valid, else Envoy's message. */
export async function envoyConfigProblem(binary: string, config: string): Promise<string | null> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-envoy-'));
  const file = join(folder, 'envoy.yaml');
  try {
    await writeFile(file, config, { mode: 0o600 });
    return await new Promise((resolve) => {
      execFile(
        binary,
        ['--mode', 'validate', '-c', file, '--log-level', 'warning', '--disable-hot-restart'],
        (error, _, stderr) => {
          resolve(error === null && stderr === '' ? null : stderr || (error?.message ?? 'envoy failed'));
        },
      );
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
