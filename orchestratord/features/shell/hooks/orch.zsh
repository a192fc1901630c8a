# Shell integration for zsh 5.0 and newer, sourced by .zlogin after the user's own files.
# See orch.bash for the marks and the names. Aliases are off while this is read.

typeset -g __orch_count=0 __orch_nonce=0 __orch_status=0 __orch_dir= __orch_do=/dev/null
typeset -g __orch_mark=$'\e]7717;'$__orch_key
typeset -g __orch_b='%{'$__orch_mark$';B\a\e]133;B\a%}'

__orch_precmd() {
  __orch_status=$?
  emulate -L zsh
  setopt no_xtrace no_err_return no_err_exit
  [[ $PROMPT == *"$__orch_b" ]] || PROMPT=${PROMPT//$__orch_b/}$__orch_b
  # What was added after us would change the prompt after us.
  [[ $precmd_functions[-1] == __orch_precmd ]] ||
    precmd_functions=(${precmd_functions:#__orch_precmd} __orch_precmd)
  builtin printf '%s;P;%d;%d;%s\a\e]133;A\a' \
    $__orch_mark $((++__orch_count)) $__orch_status $__orch_nonce >/dev/tty
  if [[ $PWD != $__orch_dir ]]; then
    __orch_dir=$PWD
    builtin printf '\e]7;file://%s%s\a' "$HOST" "${PWD//[^A-Za-z0-9_.\/~-]/?}" >/dev/tty
  fi
  return 0
}

__orch_preexec() {
  builtin printf '%s;C;%d\a' "$__orch_mark" "$__orch_count" >/dev/tty
}

__orch_enter() {
  emulate -L zsh
  setopt no_xtrace no_err_return no_err_exit
  if [[ -z $BUFFER && $CONTEXT == start ]]; then
    BUFFER=' \. "$__orch"'
    zle .accept-line
  else
    builtin printf '%s;D;%d\a' $__orch_mark $__orch_count >/dev/tty
  fi
}

# Bound to another such key: says whether somebody has begun to type.
__orch_probe() {
  emulate -L zsh
  setopt no_xtrace no_err_return no_err_exit
  local letter=D
  [[ -n $BUFFER || $CONTEXT != start ]] || letter=U
  builtin printf '%s;%s;%d\a' $__orch_mark $letter $__orch_count >/dev/tty
}

__orch_addhistory() {
  emulate -L zsh
  setopt no_xtrace no_err_return no_err_exit
  [[ $1 != ' \. "$__orch"'* ]]
}

__orch_begin() {
  emulate -L zsh
  setopt no_xtrace no_err_return no_err_exit
  if [[ $1 == $__orch_nonce ]]; then __orch_do=/dev/null; else __orch_do=${__orch%/*}/do; fi
  __orch_nonce=$1
  builtin print -rs -- "$2"
  builtin printf '%b%s;S;%s;%d\a' "$3" $__orch_mark $1 $__orch_count >/dev/tty
  return $__orch_status
}

__orch_end() {
  emulate -L zsh
  setopt no_xtrace no_err_return no_err_exit
  builtin printf '%s;E;%s;%d\a' $__orch_mark $__orch_nonce $1 >/dev/tty
  __orch_hook
  return $1
}

__orch_hook() {
  typeset -ga precmd_functions preexec_functions zshaddhistory_functions
  (( $precmd_functions[(Ie)__orch_precmd] )) || precmd_functions+=(__orch_precmd)
  (( $preexec_functions[(Ie)__orch_preexec] )) || preexec_functions+=(__orch_preexec)
  (( $zshaddhistory_functions[(Ie)__orch_addhistory] )) ||
    zshaddhistory_functions+=(__orch_addhistory)
  return 0
}

__orch_hook
if [[ -o zle ]]; then
  zle -N __orch_enter
  zle -N __orch_probe
  for __orch_map in emacs viins vicmd main; do
    bindkey -M $__orch_map '\e[7717;1~' __orch_enter
    bindkey -M $__orch_map '\e[7717;3~' __orch_probe
  done
  unset __orch_map
else
  builtin printf '%s;N\a' $__orch_mark >/dev/tty
fi
