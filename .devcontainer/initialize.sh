#!/bin/sh
# Runs on the host before the dev container is made (initializeCommand) and
# tells compose.yaml, through .env beside it, what Compose cannot find out: a
# project name of this folder's own and, for a git worktree, its repository.
set -eu
cd "$(dirname "$0")"
root=$(cd .. && pwd -P)
name=$(basename "$root" | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9-' | cut -c1-24)
key=$(printf %s "$root" | git hash-object --stdin | cut -c1-8)
{
  echo '# Made anew by initialize.sh whenever the dev container opens.'
  echo "WORKSPACE_PROJECT=devcontainer-$name-$key"
} >.env

# In a worktree .git is a file, and the path in it means nothing in a container:
# absolute it is one of the host, relative it leads out of the workspace.
[ -f ../.git ] || exit 0
gitdir=$(sed -n 's/^gitdir: //p' ../.git)
repository=${gitdir%/worktrees/*}
echo "gitdir: /repository${gitdir#"$repository"}" >.git-file
case $repository in
  /* | [A-Za-z]:*) ;;
  *) repository=../$repository ;; # as seen from here
esac
{
  echo 'WORKSPACE_BASE=worktree.yaml'
  echo "WORKSPACE_REPOSITORY='$repository'"
} >>.env
