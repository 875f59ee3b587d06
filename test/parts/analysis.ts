import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CACHE_MARKER, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { ANALYSIS_VERSIONS } from '../../src/tools/policy/analyze/programs.ts';
import { analysisFolder } from './cache.ts';

/**
 * Builds Cedar's command with its symbolic analysis, and installs the solver cvc5 from its Python wheel, with a program that reads SMT-LIB as
 * the solver's own does. Takes Rust, and Python 3 with pip. Quick if it was done before.
 */
export async function installAnalysis(say: (line: string) => void): Promise<string | BinaryProblem> {
  if (existsSync(join(analysisFolder, CACHE_MARKER))) return analysisFolder;
  const { cedar, cvc5 } = ANALYSIS_VERSIONS;
  say(`building cedar ${cedar} with symbolic analysis into ${analysisFolder} (about 15 minutes on 2 cores, once)`);
  try {
    return await intoCache(analysisFolder, async (scratch) => {
      const quietly = ['--quiet', '--disable-pip-version-check'];
      const into = ['--target', join(scratch, 'python')];
      execFileSync('python3', ['-m', 'pip', 'install', ...quietly, ...into, `cvc5==${cvc5}`], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      await cp(join(import.meta.dirname, 'cvc5.py'), join(scratch, 'cvc5'));
      await chmod(join(scratch, 'cvc5'), 0o755);
      const what = ['cedar-policy-cli', '--version', cedar, '--locked', '--features', 'analyze'];
      const target = ['--target-dir', join(scratch, 'target'), '--root', scratch];
      execFileSync('cargo', ['install', '--quiet', ...what, ...target], {
        stdio: ['ignore', 'ignore', 'pipe'],
        // Little optimisation: the solver does the work.
        env: { ...process.env, CARGO_PROFILE_RELEASE_OPT_LEVEL: '1', CARGO_PROFILE_RELEASE_LTO: 'off' },
      });
      await rename(join(scratch, 'bin/cedar'), join(scratch, 'cedar'));
      await rm(join(scratch, 'target'), { recursive: true });
      return analysisFolder;
    });
  } catch (error) {
    const cause = error instanceof Error ? error.message.trim().split('\n').slice(-3).join(' | ') : String(error);
    return { problem: `could not install the symbolic analysis, which takes Rust and Python 3 with pip: ${cause}` };
  }
}
