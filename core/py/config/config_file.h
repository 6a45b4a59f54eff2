/* SPDX-License-Identifier: MIT */
/*
 * Python configuration files: executed as gunicorn does (gunicorn-compat 2.3),
 * their names handed to cg_settings_set. Needs the GIL. What a name means, and
 * whether its value is good, is left to config.
 */
#ifndef CG_PY_CONFIG_FILE_H
#define CG_PY_CONFIG_FILE_H

#include "config/load.h"

/* The reader for struct cg_load. */
struct cg_python_reader cg_python_config_reader(void);
/* The one of a program: `settings` is a callable, borrowed, that gives [(name,
 * value, source, own)] each time it is called. (A PyObject *.) */
struct cg_python_reader cg_python_program_reader(void *settings);

/*
 * Turns import strings of callables ("hooks:post_fork" from YAML, "pkg.mod.f")
 * into objects, with gunicorn's arity check. Call after loading, when the
 * application's folder is on sys.path. All are tried: err has a line for each
 * that fails.
 */
int cg_python_resolve_hooks(struct cg_settings *s, struct cg_error *err);

/* A Python file as YAML, appended to out; what YAML cannot say, and secrets
 * that are left out, go to f as warnings. Runs the file. -ECANCELED when it
 * called sys.exit. */
int cg_python_to_yaml(const char *path, bool show_secrets, struct cg_buf *out,
                      int *ret_exit, struct cg_findings *f);

/* chdir + sys.path as gunicorn: inserts dir at sys.path[0] if absent;
 * pythonpath is the comma list of the setting, may be NULL. */
int cg_python_set_path(const char *dir, const char *pythonpath,
                       struct cg_error *err);
/* os.environ[name] = value (and the C environment); NULL deletes it. */
int cg_python_setenv(const char *name, const char *value, struct cg_error *err);

#endif
