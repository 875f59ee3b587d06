import { describe, expect, it } from '@jest/globals';
import { freshCedar } from '../../../src/core/policy/cedar.ts';
import { schemaFrom } from '../../../src/core/policy/schema.ts';
import { baseSchema, exampleCatalog } from '../../builders/policy-folder.ts';
import { must } from '../../builders/must.ts';
import { mustCatalog } from '../../builders/catalog.ts';

function mustGenerate(catalogText: string, base = baseSchema) {
  const catalog = mustCatalog(catalogText);
  return must(schemaFrom(base, catalog));
}

describe('schemaFrom', () => {
  it('adds each action in its risk group with its typed arguments', () => {
    const { text } = mustGenerate(exampleCatalog);
    expect(text).toContain(`
  // payments: POST /v1/payments
  action "payments.create" in [Action::"high"] appliesTo {
    principal: Agent,
    resource: Endpoint,
    context: {
      intent: Intent,
      subject: String,
      actors: Set<String>,
      credential: Credential,
      request: Request,
      claimed: Set<String>,
      attested: Set<Attested>,
      task: {actions: Set<String>, labels: Set<String>},
      labels: Set<String>,
      risk: String,
      now: datetime,
      time: Time,
      subjectAttributes: SubjectAttributes,
      args: {"amount": Long, "currency"?: String},
    },
  };
`);
    expect(text).toContain('args: {"id": String}');
    expect(text).toContain('args: {}');
  });

  it('has a local time for each time zone of the catalog, at `issue` too, and none if it names none', () => {
    const zones = 'timeZones: { office: Europe/Berlin, "tokyo": Asia/Tokyo }\n';
    const named = mustGenerate(exampleCatalog.replace(/timeZones:\n.*\n/, zones)).text;
    expect(named).toContain(`
  type Time = {
    "office": LocalTime, // Europe/Berlin
    "tokyo": LocalTime, // Asia/Tokyo
  };`);
    const none = mustGenerate(exampleCatalog.replace(/timeZones:\n.*\n/, '')).text;
    expect([named, none].map((text) => text.match(/time: Time,/g)?.length)).toEqual([
      named.match(/^ {2}action ".*appliesTo/gm)?.length,
      undefined,
    ]);
    expect(none).not.toContain('LocalTime');
  });

  it('has the attributes of subjects that the catalog declares, each optional, at `issue` too', () => {
    const types = 'subjectAttributes: { groups: strings, level: long, staff: bool }\n';
    const declared = mustGenerate(exampleCatalog.replace(/subjectAttributes:\n(?: .*\n)+/, types)).text;
    expect(declared).toContain(`
  type SubjectAttributes = {
    "groups"?: Set<String>,
    "level"?: Long,
    "staff"?: Bool,
  };`);
    expect(declared.match(/subjectAttributes: SubjectAttributes,/g)).toHaveLength(
      declared.match(/^ {2}action ".*appliesTo/gm)?.length ?? 0,
    );
    expect(mustGenerate(exampleCatalog.replace(/subjectAttributes:\n(?: .*\n)+/, '')).text).not.toContain(
      'SubjectAttributes',
    );
  });

  it('leaves the base as it is, up to the end of the namespace', () => {
    const { text, generatedFrom } = mustGenerate(exampleCatalog, `${baseSchema}\nnamespace Other { entity Remit; }\n`);
    expect(text.slice(0, generatedFrom)).toBe(baseSchema.slice(0, generatedFrom));
    expect(text.endsWith('\n}\n\nnamespace Other { entity Remit; }\n')).toBe(true);
  });

  it('quotes names that are no Cedar identifiers', () => {
    const names = ['page[size]', 'arg-name', 'if', 'in', 'a"b\\c', 'größe', 'true', '😀'];
    const args = names.map((name) => `${JSON.stringify(name)}: { from: query, type: bool }`).join(', ');
    const catalog = `servers:\n  s:\n    hosts: [a.test]\n    audience: https://a.test\n    routes:\n      - { action: A-1.in.2x, method: GET, path: /, risk: low, args: { ${args} } }\n`;
    const cedar = freshCedar();
    const json = cedar.schemaToJsonWithResolvedTypes(mustGenerate(catalog).text);
    if (json.type === 'failure') throw new Error(JSON.stringify(json.errors));
    const context = JSON.parse(JSON.stringify(json.json['Remit']?.actions['A-1.in.2x']?.appliesTo?.context));
    expect(Object.keys(context.attributes.args.attributes).sort()).toEqual(names.toSorted());
  });
});
