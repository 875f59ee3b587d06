/** The frameworks of controls. Each is data: `frameworks/ID.json`, validated by a test against `framework.schema.json`. */
import type { Control, Framework } from './framework.ts';
import aiRmf from './frameworks/ai-rmf.json' with { type: 'json' };
import csf from './frameworks/csf-2.0.json' with { type: 'json' };
import euAiAct from './frameworks/eu-ai-act.json' with { type: 'json' };
import iso27001 from './frameworks/iso-27001.json' with { type: 'json' };
import iso42001 from './frameworks/iso-42001.json' with { type: 'json' };
import maestro from './frameworks/maestro.json' with { type: 'json' };
import owaspAsi from './frameworks/owasp-asi-2026.json' with { type: 'json' };
import soc2 from './frameworks/soc-2.json' with { type: 'json' };
import sp80053 from './frameworks/800-53.json' with { type: 'json' };

type WrittenControl = Omit<Control, 'aliases'> & Partial<Pick<Control, 'aliases'>>;

interface WrittenFramework extends Omit<Framework, 'controls'> {
  readonly controls: readonly WrittenControl[];
}

// `test/tools/evidence/frameworks.test.ts` holds each file to the schema, which says what these types say.
const written = [
  csf,
  aiRmf,
  owaspAsi,
  maestro,
  sp80053,
  euAiAct,
  iso42001,
  soc2,
  iso27001,
] as readonly WrittenFramework[];

const frameworkFrom = ({ id, title, version, source, date, controls }: WrittenFramework): Framework => ({
  id,
  title,
  version,
  source,
  date,
  controls: controls.map((control) => ({ aliases: [], ...control })),
});

/** All frameworks, by the value of `--framework`. */
export const frameworks: ReadonlyMap<string, Framework> = new Map(
  written.map((framework) => [framework.id, frameworkFrom(framework)]),
);
