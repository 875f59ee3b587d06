/** The names of the files of a policy folder. */
export const CATALOG = 'actions.yaml';
export const SCHEMA_FILE = 'base.cedarschema';
/** The file that `remit policy schema --write` writes, for editors and `cedar validate`. */
export const GENERATED_SCHEMA = 'remit.cedarschema';
/** The file of what is observed before it is enforced. */
export const ENFORCEMENT = 'enforcement.yaml';
/** The file of limits over all tasks. */
export const LIMITS = 'limits.yaml';
/** The folder of policies, besides those of the policy folder itself. */
export const POLICIES = 'policies';
const POLICY_SUFFIX = '.cedar';
const LINKS_SUFFIX = '.cedarlinks.json';
const ENTITIES_SUFFIX = '.cedarentities.json';

/** Whether a file of a folder has links of templates. */
export const isLinksFile = (name: string): boolean => name.endsWith(LINKS_SUFFIX);

/** Whether a file of a folder has policies, templates or links. */
export const isPolicyFile = (name: string): boolean => name.endsWith(POLICY_SUFFIX) || isLinksFile(name);

/** Whether a file of a folder has entities. */
export const isEntitiesFile = (name: string): boolean => name.endsWith(ENTITIES_SUFFIX);
