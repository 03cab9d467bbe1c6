import tseslint from 'typescript-eslint';

const sole = (name, owner) => ({ name, message: `Only ${owner} imports ${name}.` });
const soleImporters = [
  {
    name: 'zod',
    message: 'zod/mini is a tenth of it, in a program that a job starts a dozen times.',
  },
  sole('execa', 'src/tools/exec.ts'),
  sole('winston', 'src/log.ts'),
  sole('yargs', 'src/cli.ts and src/chroot-cli.ts'),
  sole('js-yaml', 'src/yaml.ts'),
  sole('node:child_process', 'src/tools/exec.ts'),
  sole('child_process', 'nobody'),
];
const allow = (...names) => ({
  'no-restricted-imports': [
    'error',
    { paths: soleImporters.filter((p) => !names.includes(p.name)) },
  ],
});

export default tseslint.config(
  { ignores: ['dist/', 'coverage/', 'node_modules/'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['eslint.config.js'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      ...allow(),
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      // zod/mini and execa results are read in void arrow callbacks in a few places.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      'max-lines': ['error', { max: 300 }],
      'no-restricted-syntax': [
        'error',
        {
          selector: "CallExpression[callee.object.name='process'][callee.property.name='exit']",
          message: 'Only main.ts ends the process.',
        },
        {
          selector:
            "AssignmentExpression[left.object.name='process'][left.property.name='exitCode']",
          message: 'Only main.ts sets the exit status.',
        },
      ],
    },
  },
  { files: ['src/tools/exec.ts'], rules: allow('execa', 'node:child_process') },
  {
    files: ['src/log.ts'],
    // winston's own types do not name the transport class that they export.
    rules: { ...allow('winston'), '@typescript-eslint/no-unsafe-class-instance-assignment': 'off' },
  },
  { files: ['src/cli.ts', 'src/chroot-cli.ts'], rules: allow('yargs') },
  { files: ['src/yaml.ts'], rules: allow('js-yaml') },
  { files: ['src/main.ts'], rules: { 'no-restricted-syntax': 'off' } },
  { files: ['test/**'], rules: { ...allow('execa', 'js-yaml'), 'max-lines': 'off' } },
  {
    files: ['scripts/**/*.mjs', 'eslint.config.js'],
    extends: [tseslint.configs.disableTypeChecked],
    rules: { 'no-restricted-syntax': 'off', 'no-restricted-imports': 'off' },
  },
);
