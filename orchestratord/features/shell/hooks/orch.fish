# Shell integration for fish 3.1 and newer, sourced after the user's own files.
# See orch.bash for the marks and the names.

set -g __orch_count 0
set -g __orch_nonce 0
set -g __orch_mark \e"]7717;$__orch_key"

functions -q fish_prompt; and functions -c fish_prompt __orch_user_prompt
functions -q __orch_user_prompt; or function __orch_user_prompt
    echo '> '
end

function fish_prompt
    set -g __orch_status $status
    set -g __orch_count (math $__orch_count + 1)
    printf '%s;P;%d;%d;%s\a\e]133;A\a' $__orch_mark $__orch_count $__orch_status $__orch_nonce
    __orch_set_status $__orch_status
    __orch_user_prompt
    printf '%s;B\a\e]133;B\a' $__orch_mark
end

function __orch_set_status
    return $argv[1]
end

function __orch_preexec --on-event fish_preexec
    printf '%s;C\a' $__orch_mark
end

function __orch_enter
    if test -z "$(commandline -b)"
        commandline -r ' source $__orch'
        commandline -f execute
    else
        printf '%s;D\a' $__orch_mark
    end
end

function __orch_begin
    set -g __orch_do (string replace -r 'run$' do $__orch)
    test $argv[1] = $__orch_nonce; and set -g __orch_do /dev/null
    set -g __orch_nonce $argv[1]
    builtin history append -- $argv[2] 2>/dev/null
    printf '%b%s;S;%s\a' $argv[3] $__orch_mark $argv[1]
    return $__orch_status
end

function __orch_end
    printf '%s;E;%s;%d\a' $__orch_mark $__orch_nonce $argv[1]
    return $argv[1]
end

for __orch_map in default insert visual
    bind -M $__orch_map \e'[7717;1~' __orch_enter
end
set -e __orch_map
