/** The names of the files of a policy folder. */
export const CATALOG = 'actions.yaml';
/** The folder of further files of the catalog, such as a file for each team. */
export const CATALOGS = 'actions';
export const SCHEMA_FILE = 'base.cedarschema';
/** The file that `remit policy schema --write` writes, for editors and `cedar validate`. */
export const GENERATED_SCHEMA = 'remit.cedarschema';
/** The file of what is observed before it is enforced. */
export const ENFORCEMENT = 'enforcement.yaml';
/** The file of limits over all tasks. */
export const LIMITS = 'limits.yaml';
/** The folder of policies, besides those of the policy folder itself. */
export const POLICIES = 'policies';
/** The folder of entities, besides those of the policy folder itself. */
export const ENTITIES = 'entities';
const CATALOG_SUFFIX = '.yaml';
const POLICY_SUFFIX = '.cedar';
const LINKS_SUFFIX = '.cedarlinks.json';
const ENTITIES_SUFFIX = '.cedarentities.json';

/** Whether a name, relative to the policy folder, is that of a file of the catalog. */
export const isCatalogFile = (name: string): boolean =>
  name === CATALOG || (name.startsWith(`${CATALOGS}/`) && name.endsWith(CATALOG_SUFFIX));

/** Whether a file of a folder has links of templates. */
export const isLinksFile = (name: string): boolean => name.endsWith(LINKS_SUFFIX);

/** Whether a file of a folder has policies, templates or links. */
export const isPolicyFile = (name: string): boolean => name.endsWith(POLICY_SUFFIX) || isLinksFile(name);

/** Whether a file of a folder has entities. */
export const isEntitiesFile = (name: string): boolean => name.endsWith(ENTITIES_SUFFIX);
