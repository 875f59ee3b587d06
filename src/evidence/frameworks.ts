import type { Framework } from './framework.ts';
import { aiRmf } from './frameworks/ai-rmf.ts';
import { csf20 } from './frameworks/csf-2.0.ts';
import { maestro } from './frameworks/maestro.ts';
import { owaspAsi2026 } from './frameworks/owasp-asi-2026.ts';
import { sp80053 } from './frameworks/sp-800-53.ts';

/** All frameworks, by the value of `--framework`. */
export const frameworks: ReadonlyMap<string, Framework> = new Map(
  [csf20, aiRmf, owaspAsi2026, maestro, sp80053].map((framework) => [framework.id, framework]),
);
