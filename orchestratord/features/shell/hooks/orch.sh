# Shell integration for a POSIX sh (dash, busybox), sourced by $ENV after the user's own files.
# See orch.bash for the marks. There is no hook but the prompt, which is expanded each time.

__orch_count=0 __orch_nonce=0 __orch_status=0
__orch_mark=$(printf '\033]7717;%s' "$__orch_key")
__orch_bel=$(printf '\007')
PS1="$__orch_mark;P;\$((__orch_count=__orch_count+1));\$?;\$__orch_nonce$__orch_bel${PS1-\$ }$__orch_mark;B$__orch_bel"

__orch_begin() {
  __orch_status=$?
  if [ "$1" = "$__orch_nonce" ]; then __orch_do=/dev/null; else __orch_do=${__orch%/*}/do; fi
  __orch_nonce=$1
  printf '%b%s;S;%s\007' "$3" "$__orch_mark" "$1"
  case $- in *e*) ;; *) return "$__orch_status" ;; esac
}

__orch_end() {
  printf '%s;E;%s;%d\007' "$__orch_mark" "$__orch_nonce" "$1"
  case $- in *e*) ;; *) return "$1" ;; esac
}
