import type { Framework } from './framework.ts';
import { aiRmf } from './frameworks/ai-rmf.ts';
import { csf20 } from './frameworks/csf-2.0.ts';
import { euAiAct } from './frameworks/eu-ai-act.ts';
import { iso27001 } from './frameworks/iso-27001.ts';
import { iso42001 } from './frameworks/iso-42001.ts';
import { maestro } from './frameworks/maestro.ts';
import { owaspAsi2026 } from './frameworks/owasp-asi-2026.ts';
import { soc2 } from './frameworks/soc-2.ts';
import { sp80053 } from './frameworks/sp-800-53.ts';

/** All frameworks, by the value of `--framework`. */
export const frameworks: ReadonlyMap<string, Framework> = new Map(
  [csf20, aiRmf, owaspAsi2026, maestro, sp80053, euAiAct, iso42001, soc2, iso27001].map((framework) => [
    framework.id,
    framework,
  ]),
);
