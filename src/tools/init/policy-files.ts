import { catalogFrom } from '../../core/action/catalog/catalog-assembly.ts';
import { generatedSchemaText } from '../../core/policy/generated-schema.ts';
import { GENERATED_SCHEMA } from '../../core/policy/loading/source-names.ts';
import { schemaFrom } from '../../core/policy/schema.ts';
import type { Answers } from './answers.ts';
import { yamlText } from './written-text.ts';

/** The files of a policy folder by path: a catalog, one agent, policies and tests that pass. `base` is the shipped base schema. */
export function policyFiles(base: string, answers: Answers): ReadonlyMap<string, string> {
  const actions = catalogText(answers);
  return new Map([
    ['policies/actions.yaml', actions],
    ['policies/base.cedarschema', base],
    ['policies/entities.cedarentities.json', entitiesText(answers)],
    ['policies/tools.cedar', policyText],
    ['policies/tests/tools.test.yaml', testText(answers)],
    [`policies/${GENERATED_SCHEMA}`, schemaText(base, actions)],
    ['policies/.vscode/settings.json', `{ "cedar.schemaFile": "${GENERATED_SCHEMA}" }\n`],
  ]);
}

const catalogText = ({
  tools,
}: Answers): string => `# What agents can do, in your words: a call that is not here is refused with \`action.unknown\`. Make it say what your tool server
# does; \`remit policy import\` writes entries from OpenAPI, MCP tools and proto files.
servers:
  tools:
    hosts: [${yamlText(tools)}]
    # The \`resource\` an agent asks a token for, and the \`aud\` of that token.
    audience: ${yamlText(`https://${tools}`)}
    routes:
      - { action: tools.home, method: GET, path: /, risk: low }
      - { action: tools.read, method: GET, path: '/items/{id}', risk: low }
      - action: tools.create
        method: POST
        path: /items
        risk: high
        args:
          amount: { from: body, type: long, required: true }
`;

const entitiesText = ({ agent }: Answers): string => `[
  { "uid": { "type": "Remit::AgentGroup", "id": "agents" }, "attrs": {}, "parents": [] },
  {
    "uid": { "type": "Remit::Agent", "id": ${JSON.stringify(agent)} },
    "attrs": {},
    "parents": [{ "type": "Remit::AgentGroup", "id": "agents" }]
  }
]
`;

const policyText = `// Nothing is allowed unless a permit says so. An agent first asks for a token for a task, which is the action \`issue\`; with the
// token it makes its calls.

@id("tools-task")
permit (
  principal in Remit::AgentGroup::"agents",
  action == Remit::Action::"issue",
  resource in Remit::Server::"tools"
);

@id("tools-read")
permit (
  principal in Remit::AgentGroup::"agents",
  action in [Remit::Action::"tools.home", Remit::Action::"tools.read"],
  resource in Remit::Server::"tools"
);

@id("tools-create")
permit (
  principal in Remit::AgentGroup::"agents",
  action == Remit::Action::"tools.create",
  resource in Remit::Server::"tools"
)
when { context.intent.purpose != "" && context.args.amount <= 100 };
`;

const testText = ({
  agent,
  tools,
}: Answers): string => `# \`remit policy test policies\` decides these by the code that decides in \`remit serve\`.
defaults:
  agent: ${yamlText(agent)}
cases:
  - name: the agent may be given tasks for what the policies permit
    issue: [tools.home, tools.read, tools.create]
    expect: allow
    policies: [tools-task]

  - name: it reads
    action: [tools.home, tools.read]
    expect: allow
    policies: [tools-read]

  - name: it creates for up to 100
    call: { method: POST, url: ${yamlText(`https://${tools}/items`)}, body: { amount: 100 } }
    expect: allow
    policies: [tools-create]

  - name: and not for more
    call: { method: POST, url: ${yamlText(`https://${tools}/items`)}, body: { amount: 101 } }
    expect: deny
    reason: policy.not-permitted

  - name: and not without a purpose
    task: { purpose: '' }
    call: { method: POST, url: ${yamlText(`https://${tools}/items`)}, body: { amount: 100 } }
    expect: deny
    reason: policy.not-permitted

  - name: another agent is given no task
    agent: ${yamlText(`${agent}-other`)}
    issue: tools.home
    expect: deny
    reason: policy.not-permitted

  - name: it does not read
    agent: ${yamlText(`${agent}-other`)}
    action: [tools.home, tools.read]
    expect: deny
    reason: policy.not-permitted

  - name: and does not create
    agent: ${yamlText(`${agent}-other`)}
    call: { method: POST, url: ${yamlText(`https://${tools}/items`)}, body: { amount: 1 } }
    expect: deny
    reason: policy.not-permitted
`;

/** The schema for editors. Throws if catalog and base do not fit, which is a bug in this file. */
function schemaText(base: string, actions: string): string {
  const catalog = catalogFrom(actions, 'actions.yaml');
  if ('findings' in catalog) throw new Error(`the catalog of remit init is invalid: ${catalog.findings[0]?.message}`);
  const schema = schemaFrom(base, catalog);
  if ('problem' in schema) throw new Error(`the schema of remit init is invalid: ${schema.problem}`);
  return generatedSchemaText(schema);
}
